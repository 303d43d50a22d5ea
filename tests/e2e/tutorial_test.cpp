// The tutorial for authors of plugins is run as it stands: its files are written, its commands are run in
// order by one shell, and what it shows as their output has to be in what they say.
#include <doctest/doctest.h>

#include <sstream>
#include <vector>

#include "e2e/harness/gateway.h"
#include "e2e/harness/waiting.h"
#include "shell.h"

using namespace e2e;

namespace {

struct Block {
  std::string kind;  // "sh", "output", or a language with a file behind it
  std::string file;
  std::string text;
};

std::vector<Block> blocks_of(const std::string& page) {
  std::vector<Block> blocks;
  std::istringstream lines(page);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("```")) {
      if (inside) blocks.back().text += line + "\n";
      continue;
    }
    inside = !inside;
    if (!inside) continue;
    const size_t space = line.find(' ');
    blocks.push_back({line.substr(3, space == line.npos ? line.npos : space - 3),
                      space == line.npos ? "" : line.substr(space + 1), ""});
  }
  return blocks;
}

void replace_all(std::string& text, const std::string& old, const std::string& by) {
  for (size_t at = 0; (at = text.find(old, at)) != text.npos; at += by.size())
    text.replace(at, old.size(), by);
}

// One script; the end of each shell block is marked in the output.
std::string script_of(const std::vector<Block>& blocks, const std::string& address) {
  std::string script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";
  for (size_t i = 0; i < blocks.size(); ++i) {
    const Block& block = blocks[i];
    if (block.kind == "output") continue;
    if (block.kind == "sh") {
      script +=
          block.text + "find . -name gateway.yaml -exec sed -i s/127.0.0.1:8080/" + address + "/ {} +\n";
      script += "echo '@@@ " + std::to_string(i) + "'\n";
    } else {
      script += "cat >" + block.file + " <<'END-OF-BLOCK'\n" + block.text + "END-OF-BLOCK\n";
    }
  }
  return script;
}

// What was said between the mark before this block and its own.
std::string output_of(const std::string& said, size_t block) {
  const size_t end = said.find("@@@ " + std::to_string(block) + "\n");
  if (end == said.npos) return {};
  const size_t before = said.rfind("@@@ ", end == 0 ? 0 : end - 1);
  return said.substr(before == said.npos ? 0 : before, end - (before == said.npos ? 0 : before));
}

}  // namespace

TEST_CASE("the tutorial of the SDK works as it is written") {
  TempFolder folder;
  const std::string prefix = folder.file("prefix");
  REQUIRE(said_by("cmake --install " + binary("") + " --prefix " + prefix).good);
  uint16_t port = 0;
  {
    const ClosedPort free;
    port = free.port();
  }
  const std::string address = "127.0.0.1:" + std::to_string(port);
  const Said page = said_by("cat " + source("plugins/sdk/TUTORIAL.md"));
  REQUIRE(page.good);
  std::vector<Block> blocks = blocks_of(page.text);
  for (Block& block : blocks) {
    // A fence that is not run would be a promise that nobody keeps.
    CHECK_MESSAGE((block.kind == "sh" || block.kind == "output" || !block.file.empty()), block.text);
    replace_all(block.text, "127.0.0.1:8080", address);
  }
  folder.write("tutorial.sh", script_of(blocks, address));

  const Said said =
      said_by("mkdir " + folder.file("work") + " && cd " + folder.file("work") + " && PATH=" + prefix +
              "/bin:$PATH CMAKE_PREFIX_PATH=" + prefix + " bash ../tutorial.sh");
  CHECK_MESSAGE(said.good, said.text);
  size_t compared = 0;
  for (size_t i = 1; i < blocks.size(); ++i) {
    if (blocks[i].kind != "output") continue;
    REQUIRE(blocks[i - 1].kind == "sh");
    const std::string output = output_of(said.text, i - 1);
    std::istringstream lines(blocks[i].text);
    size_t at = 0;
    for (std::string line; std::getline(lines, line); ++compared) {
      CAPTURE(output);
      CAPTURE(line);
      const size_t found = output.find(line, at);
      CHECK(found != output.npos);
      if (found != output.npos) at = found + line.size();
    }
  }
  CHECK(compared > 20);
}
