"""What can be held of the Swift sources without a Swift compiler; says what was not.

parse.py HEADER PACKAGE: every file is Swift by its grammar, and every call of a C function names
one that the header declares, with as many arguments. Ends with "N passed, N failed".
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import tree_sitter_swift
from tree_sitter import Language, Node, Parser


def declared(header: str) -> dict[str, int]:
    """The number of arguments of each function in the header, inline ones included."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    found = re.findall(r"\b(lit_\w+)\(([^()]*)\)\s*[;{]", code)
    return {
        name: 0 if arguments.strip() in ("", "void") else arguments.count(",") + 1
        for name, arguments in found
    }


def nodes(node: Node) -> Iterator[Node]:
    """Every node below this one, and itself."""
    yield node
    for child in node.children:
        yield from nodes(child)


def calls(tree: Node) -> Iterator[tuple[str, int, int]]:
    """Each call of a C function: its name, how many arguments it has, and its line."""
    for node in nodes(tree):
        if node.type != "call_expression":
            continue
        name = node.children[0].text.decode()
        if re.fullmatch(r"lit_\w+", name) and not name.endswith("_t"):
            arguments = [n for n in nodes(node.children[1]) if n.type == "value_arguments"][:1]
            count = sum(child.type == "value_argument" for n in arguments for child in n.children)
            yield name, count, node.start_point[0] + 1


def main() -> int:
    """Check all files of the package."""
    functions = declared(Path(sys.argv[1]).read_text())
    assert len(functions) > 100, functions
    parser = Parser(Language(tree_sitter_swift.language()))
    wrong: list[str] = []
    files = sorted(Path(sys.argv[2]).glob("**/*.swift"))
    called: set[str] = set()
    for path in files:
        tree = parser.parse(path.read_bytes()).root_node
        where = [node.start_point[0] + 1 for node in nodes(tree) if node.has_error]
        if where:
            wrong.append(f"{path}:{where[-1]}: is no Swift")
        for name, count, line in calls(tree):
            called.add(name)
            if functions.get(name) != count:
                wrong.append(f"{path}:{line}: {name} is called with {count} arguments and has {functions.get(name)}")
        mentioned = set(re.findall(r"\blit_\w+(?=\()", path.read_text()))
        wrong += [f"{path}: no call of {name} was read" for name in mentioned - called if not name.endswith("_t")]
    print("\n".join(wrong) or f"{len(files)} files, {len(called)} functions of C; types were not checked")
    print(f"{max(len(files) + len(called) - len(wrong), 0)} passed, {len(wrong)} failed")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
