// Files that the configuration names, and what is answered once and not handed on.
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

TEST_CASE("a file name with a control character is an error wherever files are named") {
  for (const std::string_view name : {"a\\0b", "a\\nb", "a\\x1bb", "a\\x7f"}) {
    for (const std::string_view where : {"state_dir: \"{}\"\n", "plugin_libraries: [\"{}\"]\n",
                                         "access_log: {{ file: \"{}\" }}\n", "workers: \"${{file:{}}}\"\n"}) {
      const std::string text = fmt::format(fmt::runtime(where), name);
      CAPTURE(text);
      const Loaded loaded = load_rest(text);
      REQUIRE(loaded.diagnostics.all().size() == 1);
      CHECK(loaded.diagnostics.all()[0].code == "bad-file");
      CHECK(loaded.diagnostics.all()[0].at == Position{0, 2, static_cast<uint32_t>(text.find('"') + 1)});
    }
  }
}

TEST_CASE("what was answered here is not handed on to be answered again") {
  Folder folder;
  folder.write("here.so", "");
  const Loaded libraries = load_text(folder.path("t.yaml"),
                                     with_listener("plugin_libraries: [nope.so, here.so]\n"), environment());
  CHECK(libraries.diagnostics.errors() == 1);
  REQUIRE(libraries.config.plugin_libraries.size() == 1);
  CHECK(libraries.config.plugin_libraries[0].path == folder.path("here.so"));

  const Loaded tls =
      load_text("t.yaml", "listeners: { name: a, address: '127.0.0.1:0', tls: {} }\n", environment());
  CHECK(joined(lines(tls)) == "1:47 error[missing-key] 'certificates' is missing under listeners.a.tls\n");
  CHECK_FALSE(tls.config.listeners.at(0).tls.has_value());

  const Loaded log = load_rest("access_log: { file: '.', format: common }\n");
  CHECK(log.diagnostics.errors() == 1);
  REQUIRE(log.config.access_log.size() == 1);
  CHECK(log.config.access_log[0].node.find("file") == nullptr);
  CHECK(log.config.access_log[0].node.find("format") != nullptr);
}

TEST_CASE("a log over the network is the logging plugin's to read") {
  for (const std::string_view sink : {"syslog:udp:127.0.0.1:514", "http://127.0.0.1/x", "https://x/_bulk"}) {
    const Loaded log = load_rest(fmt::format("access_log: {{ file: '{}' }}\n", sink));
    CHECK(log.diagnostics.errors() == 0);
    REQUIRE(log.config.access_log.size() == 1);
    REQUIRE(log.config.access_log[0].node.find("file") != nullptr);
    CHECK(log.config.access_log[0].node.find("file")->text == sink);
  }
}
