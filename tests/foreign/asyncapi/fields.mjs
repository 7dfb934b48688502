// Reads an AsyncAPI document on standard input; prints the fields of each message that the official parser sees.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";

const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());
const { document, diagnostics } = await parser.parse(readFileSync(0, "utf8"));
const fields = {};
for (const message of document?.allMessages() ?? []) {
  fields[message.name() ?? message.id()] = Object.keys(message.payload()?.properties() ?? {});
}
console.log(JSON.stringify({ fields, diagnostics: diagnostics.map((each) => `${each.severity} ${each.code}: ${each.message}`) }));
