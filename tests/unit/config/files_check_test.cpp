// Files that the configuration names.
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

TEST_CASE("a file name with a control character is an error wherever files are named") {
  for (const std::string_view name : {"a\\0b", "a\\nb", "a\\x1bb", "a\\x7f"}) {
    for (const std::string_view where : {"state_dir: \"{}\"\n", "plugin_libraries: [\"{}\"]\n",
                                         "workers: \"${{file:{}}}\"\n"}) {
      const std::string text = fmt::format(fmt::runtime(where), name);
      CAPTURE(text);
      const Loaded loaded = load_rest(text);
      REQUIRE(loaded.diagnostics.all().size() == 1);
      CHECK(loaded.diagnostics.all()[0].code == "bad-file");
      CHECK(loaded.diagnostics.all()[0].at == Position{0, 2, static_cast<uint32_t>(text.find('"') + 1)});
    }
  }
}
