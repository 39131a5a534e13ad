"use strict";
// Shows the candidates that match every field of the form, and the tasks that have one. The page is whole without this.
const form = document.getElementById("filter");
const tasks = [...document.querySelectorAll(".task")].map((element) => ({
	element,
	heading: [element.querySelector("summary"), element.querySelector(".prompt")].map((e) => e.textContent.toLowerCase()).join(" "),
	candidates: [...element.querySelectorAll(".candidate")],
}));

function apply() {
	const { text, pool, category, state } = Object.fromEntries(new FormData(form));
	const words = text.toLowerCase().split(/\s+/).filter(Boolean);
	let shownTasks = 0;
	let shownCandidates = 0;
	for (const { element, heading, candidates } of tasks) {
		let matches = 0;
		for (const candidate of candidates) {
			const match =
				(!pool || candidate.dataset.pool === pool) &&
				(!state || candidate.dataset.state.split(" ").includes(state)) &&
				words.every((word) => heading.includes(word) || candidate.textContent.toLowerCase().includes(word));
			candidate.hidden = !match;
			matches += match;
		}
		element.hidden = !matches || (category && element.dataset.category !== category);
		if (!element.hidden && (words.length || state)) element.open = true;
		if (!element.hidden) {
			shownTasks += 1;
			shownCandidates += matches;
		}
	}
	form.querySelector("output").textContent = `${shownTasks} tasks, ${shownCandidates} candidates`;
}

form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
form.hidden = false;
apply();
