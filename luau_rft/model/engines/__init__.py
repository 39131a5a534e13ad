"""What makes the answers: one module an engine, behind the interface of ``base.py``."""
