// Checks a value against OpenAI's published OpenAPI description: the parts of JSON Schema that it uses.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { shared } from "./harness.mjs";

const file = path.join(shared, "openapi/openai.json");
export const haveSchema = existsSync(file);
const spec = haveSchema ? JSON.parse(readFileSync(file, "utf8")) : null;

const typeOf = (v) => (v === null ? "null" : Array.isArray(v) ? "array" : Number.isInteger(v) ? "integer" : typeof v);

function find(schema) {
  while (schema.$ref) schema = schema.$ref.split("/").slice(1).reduce((o, k) => o[k], spec);
  return schema;
}

function* faults(v, schema, at) {
  schema = find(schema);
  if (v === null && schema.nullable) return;
  for (const part of schema.allOf ?? []) yield* faults(v, part, at);
  for (const kind of ["anyOf", "oneOf"])
    if (schema[kind] && !schema[kind].some((s) => [...faults(v, s, at)].length === 0)) yield `${at}: fits no ${kind}: ${JSON.stringify(v)}`;
  if (schema.enum && !schema.enum.includes(v)) yield `${at}: ${JSON.stringify(v)} is not one of ${schema.enum}`;
  const types = schema.type ? [schema.type].flat() : [];
  const t = typeOf(v);
  if (types.length && !types.includes(t) && !(t === "integer" && types.includes("number"))) { yield `${at}: is ${t}, should be ${types}`; return; }
  if (t === "array" && schema.items) for (const [i, x] of v.entries()) yield* faults(x, schema.items, `${at}[${i}]`);
  if (t === "object") {
    for (const k of schema.required ?? []) if (!(k in v)) yield `${at}.${k} is missing`;
    for (const [k, s] of Object.entries(schema.properties ?? {})) if (k in v) yield* faults(v[k], s, `${at}.${k}`);
  }
}

export function checkSchema(value, name) {
  if (!haveSchema) return;
  const found = [...faults(value, spec.components.schemas[name], name)];
  if (found.length) throw new Error(`not as OpenAI describes it: ${found.slice(0, 5).join("; ")}`);
}

// The same, for what the description's text says is null (usage before a stream's last chunk) and what OpenAI's servers send as null although its
// schema does not say so: finish_reason of a completion's chunk, the log probability of a prompt's first token.
export function checkSchemaNulls(value, name) {
  const v = structuredClone(value);
  if (v.usage === null) delete v.usage;
  for (const c of v.choices) {
    if (c.finish_reason === null && name === "CreateCompletionResponse") c.finish_reason = "stop";
    if (c.logprobs?.token_logprobs?.[0] === null) [c.logprobs.token_logprobs[0], c.logprobs.top_logprobs[0]] = [0, {}];
  }
  checkSchema(v, name);
}
