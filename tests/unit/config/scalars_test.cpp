#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

namespace {

// The body that a route answers with, after references were replaced; or the diagnostics.
std::string replaced(const Folder& folder, std::string_view scalar, const Environment& environment) {
  const Loaded loaded =
      load_text(folder.path("t.yaml"),
                with_listener(fmt::format(
                    "routes: {{ name: r, match: {{}}, public: true, respond: {{ body: {} }} }}\n", scalar)),
                environment);
  if (!loaded.ok()) return joined(lines(loaded));
  return std::get<RespondTarget>(loaded.config.routes.at(0).target).body;
}

}  // namespace

TEST_CASE("references stand for a scalar or a part of it") {
  Folder folder;
  folder.write("s/key", "from file\n\n");
  folder.write("c/token", "cred\r\n");
  Environment env = environment({{"A", "x"}, {"EMPTY", ""}, {"NESTED", "${env:A}"}});
  env.credentials_directory = folder.path("c");
  CHECK(replaced(folder, "'${env:A}'", env) == "x");
  CHECK(replaced(folder, "'<${env:A}${env:A}>'", env) == "<xx>");
  CHECK(replaced(folder, "'${env:B:-y}'", env) == "y");
  CHECK(replaced(folder, "'${env:B:-}'", env) == "");
  CHECK(replaced(folder, "'${env:A:-y}'", env) == "x");
  CHECK(replaced(folder, "'${env:EMPTY}'", env) == "");
  CHECK(replaced(folder, "'${env:EMPTY:-y}'", env) == "y");
  CHECK(replaced(folder, "'${env:NESTED}'", env) == "${env:A}");
  CHECK(replaced(folder, "'${file:s/key}'", env) == "from file\n");
  CHECK(replaced(folder, "'${cred:token}'", env) == "cred");
  CHECK(replaced(folder, "'$${env:A} $ $$ {}'", env) == "${env:A} $ $$ {}");
}

TEST_CASE("references that cannot be replaced") {
  Folder folder;
  const Environment env = environment();
  const auto problem = [&](std::string_view scalar) { return replaced(folder, scalar, env); };
  CHECK(problem("'${env:B}'") == "2:62 error[variable] environment variable B is not set\n");
  CHECK(problem("'${env:1}'") == "2:62 error[reference] '1' is no name of an environment variable\n");
  CHECK(problem("'${vault:x}'") == "2:62 error[reference] ${vault:x} is not known\n");
  CHECK(problem("'${B}'") == "2:62 error[reference] ${B} is not known\n");
  CHECK(problem("'${env:B'") == "2:62 error[reference] '${' has no closing '}'\n");
  CHECK(
      problem("'${file:none}'") ==
      fmt::format("2:62 error[missing-file] ${{file:none}}: cannot read {}/none: No such file or directory\n",
                  folder.path()));
  CHECK(problem("'${cred:x}'").find("$CREDENTIALS_DIRECTORY is not set") != std::string::npos);
  CHECK(problem("'${cred:../x}'") == "2:62 error[reference] '../x' is no name of a credential\n");
}

TEST_CASE("a variable that is missing is told once, not again as a wrong value") {
  const Loaded loaded = load_rest("status: { address: '127.0.0.1:${env:PORT}' }\nworkers: ${env:N}\n");
  CHECK(joined(lines(loaded)) ==
        "2:20 error[variable] environment variable PORT is not set\n"
        "3:10 error[variable] environment variable N is not set\n");
}

TEST_CASE("what came from a reference is never quoted in a message") {
  Folder folder;
  folder.write("t.yaml",
               with_listener("drain: { timeout: '${env:SECRET}' }\nworkers: ${env:SECRET}\n"
                             "upstreams: { u: { endpoints: '${env:SECRET}', balance: '${env:SECRET}' } }\n"));
  const Loaded loaded = load(folder.path("t.yaml"), environment({{"SECRET", "hunter2"}}));
  CHECK(loaded.diagnostics.errors() == 4);
  for (const Format format : {Format::human, Format::json, Format::github})
    CHECK(render(loaded.diagnostics, loaded.sources, format).find("hunter2") == std::string::npos);
}

TEST_CASE("a secret file that others can read is a warning") {
  Folder folder;
  folder.write("key", "x", 0644);
  const Loaded loaded = load_text(
      folder.path("t.yaml"),
      with_listener("consumers: { name: c, credentials: { api_keys: '${file:key}' } }\n"), environment());
  CHECK(loaded.ok());
  REQUIRE(loaded.diagnostics.warnings() == 1);
  CHECK(loaded.diagnostics.all()[0].code == "readable-secret");
  CHECK(loaded.config.consumers.at(0).api_keys.at(0).value.reveal() == "x");
}

TEST_CASE("a secret that is written out is a warning, a digest or a reference is not") {
  const auto warnings = [](std::string_view rest) {
    const Loaded loaded = load_text("t.yaml", with_listener(rest), environment({{"S", "x"}}));
    size_t count = 0;
    for (const Diagnostic& item : loaded.diagnostics.all()) count += item.code == "literal-secret" ? 1 : 0;
    return count;
  };
  CHECK(warnings("consumers: { name: c, credentials: { api_keys: abc } }\n") == 1);
  CHECK(warnings("consumers: { name: c, credentials: { api_keys: 'sha256:" + std::string(64, 'a') +
                 "' } }\n") == 0);
  CHECK(warnings("consumers: { name: c, credentials: { api_keys: '${env:S}' } }\n") == 0);
  CHECK(warnings("plugins: { p: { type: jwt, secret: abc } }\n") == 1);
  CHECK(warnings("plugins: { p: { type: x, key: client.address } }\n") == 0);
}
