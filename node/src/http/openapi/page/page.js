// Shows /openapi.json. Texts go in as text, never as markup.
"use strict";

const make = (name, options = {}, ...inside) => {
  const element = document.createElement(name);
  Object.assign(element, options);
  element.append(...inside);
  return element;
};

const resolve = (all, schema) => {
  const name = schema && schema.$ref;
  return name ? name.slice(2).split("/").reduce((at, part) => at[part], all) : schema;
};

// A schema in a few words: what a body looks like, not every rule about it.
const sketch = (all, schema, depth = 0) => {
  const found = resolve(all, schema) || {};
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" | ");
  const kinds = [].concat(found.type || []);
  if (kinds.includes("array")) return `[${sketch(all, found.items, depth)}, ..]`;
  if (found.properties && depth < 6) {
    const pad = "  ".repeat(depth + 1);
    const required = new Set(found.required || []);
    const lines = Object.entries(found.properties).map(([name, of]) => {
      const mark = required.has(name) ? "" : "?";
      return `${pad}${name}${mark}: ${sketch(all, of, depth + 1)}`;
    });
    return `{\n${lines.join(",\n")}\n${"  ".repeat(depth)}}`;
  }
  if (found.oneOf) return found.oneOf.map((of) => sketch(all, of, depth)).join(" | ");
  return kinds.join(" | ") || "any";
};

const table = (head, rows) =>
  make("table", {},
    make("tr", {}, ...head.map((text) => make("th", { textContent: text }))),
    ...rows.map((row) => make("tr", {}, ...row.map((text) => make("td", { textContent: text })))));

const bodies = (all, content) =>
  Object.entries(content || {}).flatMap(([kind, { schema }]) => [
    make("div", {}, make("code", { textContent: kind })),
    make("pre", { textContent: sketch(all, schema) }),
  ]);

const operation = (all, path, method, told) => {
  const inside = make("div", { className: "inside" });
  if (told.parameters.length) {
    inside.append(make("h3", { textContent: "Parameters" }));
    inside.append(table(["name", "in", "kind", ""], told.parameters.map((parameter) => {
      const schema = resolve(all, parameter.schema);
      const words = [parameter.description || "", parameter.required ? "Required." : "",
        schema.default === undefined ? "" : `Default: ${schema.default}.`, schema.description || ""];
      return [parameter.name, parameter.in, sketch(all, schema), words.filter(Boolean).join(" ")];
    })));
  }
  if (told.requestBody) {
    inside.append(make("h3", { textContent: "Body" }), ...bodies(all, told.requestBody.content));
  }
  inside.append(make("h3", { textContent: "Answers" }));
  inside.append(table(["status", "", "headers"], Object.entries(told.responses).map(([status, of]) => {
    const answer = resolve(all, of);
    return [status, answer.description, Object.keys(answer.headers || {}).join(", ")];
  })));
  for (const of of Object.entries(told.responses).filter(([status]) => status === "200")) {
    inside.append(...bodies(all, of[1].content));
  }
  const details = make("details", { id: told.operationId },
    make("summary", {},
      make("span", { className: "method", textContent: method }),
      make("code", { textContent: path }),
      make("span", { textContent: told.summary }),
      make("span", { className: "scope", textContent: `token: ${told["x-scope"]}` })),
    inside);
  details.dataset.text = `${method} ${path} ${told.summary}`.toLowerCase();
  return details;
};

const show = (all) => {
  const main = document.getElementById("operations");
  main.replaceChildren();
  for (const tag of all.tags) {
    const section = make("section", {}, make("h2", { textContent: tag.description }));
    for (const [path, methods] of Object.entries(all.paths)) {
      for (const [method, told] of Object.entries(methods)) {
        if (told.tags.includes(tag.name)) section.append(operation(all, path, method, told));
      }
    }
    main.append(section);
  }
  const find = document.getElementById("find");
  find.addEventListener("input", () => {
    const word = find.value.trim().toLowerCase();
    for (const section of main.children) {
      const all = [...section.querySelectorAll("details")];
      all.forEach((of) => { of.hidden = !of.dataset.text.includes(word); });
      section.hidden = all.every((of) => of.hidden);
    }
  });
  const named = location.hash && document.getElementById(location.hash.slice(1));
  if (named) { named.open = true; named.scrollIntoView(); }
};

fetch("/openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
  .then(show)
  .catch((why) => {
    document.getElementById("operations").textContent = `The description could not be read: ${why.message}`;
  });
