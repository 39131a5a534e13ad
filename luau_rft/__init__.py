"""A data-versioned pipeline that makes a language model a better Roblox Luau programmer."""
