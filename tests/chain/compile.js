// Compile Token.sol, and write what is deployed.
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const content = fs.readFileSync(path.join(__dirname, "Token.sol"), "utf8");
const settings = {
  optimizer: { enabled: true },
  evmVersion: "paris",
  outputSelection: { "*": { Token: ["evm.bytecode.object"] } },
};
const input = { language: "Solidity", sources: { "Token.sol": { content } }, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
if (output.errors) throw new Error(JSON.stringify(output.errors));
process.stdout.write(output.contracts["Token.sol"].Token.evm.bytecode.object);
