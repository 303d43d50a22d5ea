// The corpora of the fuzzers, which every build replays: what was found once stays found.
#include <doctest/doctest.h>

#include <string>

#include "fuzz/targets.h"

using namespace penstock::fuzz;

TEST_CASE("the corpus of each fuzz target keeps its promises") {
  for (const Target& target : targets()) {
    CAPTURE(target.name);
    auto inputs = seeds(target, std::string(PENSTOCK_SOURCE_DIR) + "/tests/fuzz/corpus");
    CHECK(inputs.size() > 10);
    for (const std::string& input : inputs) target.run(input);
  }
}

TEST_CASE("a corpus line and its bytes go into each other") {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  CHECK(unescaped(escaped(all)) == all);
  CHECK(escaped("a\\\r\n\x01") == "a\\\\\\r\\n\\x01");
}

// Found by the target: ", 10.9.9.9" was taken for one hop, and the field before it was believed.
TEST_CASE("an empty hop hides what lies beyond it, wherever it stands") {
  for (const char* fields : {"B::1\n, 10.9.9.9", "B::1\n10.9.9.9,", "B::1\n10.9.9.8,,10.9.9.9", "B::1\n,"})
    fuzz_forwarded(fields);
  CHECK(find_target("forwarded") != nullptr);
}
