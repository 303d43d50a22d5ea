#!/usr/bin/env python3
"""Prints the layout of the plugin ABI as static_asserts, for every struct, table and constant of the header.

  tests/abi/layout.py [COMPILER] > tests/abi/layout_0_9.inc     once, when a minor version of the ABI is released

What a release had is kept for ever: members stay where they were with the size they had, constants keep their values.
A struct that says its own size (struct_size) may have grown since; any other may not.
"""
import os
import re
import subprocess
import sys
import tempfile

SDK = os.environ.get(
    "PENSTOCK_SDK", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "plugins", "sdk"))


def preprocessed(compiler):
    return subprocess.run([compiler, "-std=c11", "-E", "-P", "-I", SDK, os.path.join(SDK, "penstock_plugin.h")],
                          check=True, capture_output=True, text=True).stdout


def members(body):
    for declaration in body.split(";"):
        declaration = " ".join(declaration.split())
        if not declaration:
            continue
        function = re.search(r"\(\*\s*(\w+)\)\s*\(", declaration)
        if function:
            yield function.group(1)
            continue
        for part in declaration.split(","):
            name = re.search(r"(\w+)\s*(?:\[[^\]]*\])?$", part).group(1)
            if name != "reserved":  # free to become something
                yield name


def structs(text):
    for match in re.finditer(r"typedef struct (gw_\w+)\s*\{([^{}]*)\}\s*\1;", text):
        yield match.group(1), list(members(match.group(2)))


def constants(text):
    for body in re.findall(r"enum\s*\{([^{}]*)\}", text):
        yield from re.findall(r"\b(GW_[A-Z0-9_]+)\b\s*(?:=|,|$)", body)


def questions(text):
    """A C program that answers with the asserts."""
    out = ["#include <penstock_plugin.h>", "#include <stdio.h>", "int main(void) {"]
    for name, parts in structs(text):
        relation = ">=" if "struct_size" in parts else "=="
        out.append(f'printf("\\nstatic_assert(sizeof({name}) {relation} %zu, \\"{name}\\");\\n", sizeof({name}));')
        for part in parts:
            size = f"sizeof((({name}*)0)->{part})"
            out.append(f'printf("static_assert(offsetof({name}, {part}) == %zu && {size} == %zu, \\"{name}.{part}\\");\\n", '
                       f"offsetof({name}, {part}), {size});")
    out.append('printf("\\n");')
    for name in ["GW_MAGIC", *constants(text)]:
        out.append(f'printf("static_assert({name} == %lld, \\"{name}\\");\\n", (long long){name});')
    return "\n".join([*out, "return 0;", "}", ""])


def answers(compiler, program):
    with tempfile.TemporaryDirectory() as folder:
        source, binary = os.path.join(folder, "layout.c"), os.path.join(folder, "layout")
        with open(source, "w") as file:
            file.write(program)
        subprocess.run([compiler, "-std=c11", "-I", SDK, "-o", binary, source], check=True)
        return subprocess.run([binary], check=True, capture_output=True, text=True).stdout


def main():
    compiler = sys.argv[1] if len(sys.argv) > 1 else "cc"
    text = preprocessed(compiler)
    print("/* Made by tests/abi/layout.py; kept as it is. C11 or C++, on a 64-bit machine. */")
    print(answers(compiler, questions(text)), end="")


main()
