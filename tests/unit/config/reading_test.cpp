// From bytes to the tree: what YAML allows and this language does not, positions, bounds, files and folders.
#include "config/yaml_reader.h"
#include "config_support.h"

using namespace penstock::config;
using namespace penstock::config::test;

namespace {

std::string problems(std::string text) {
  return joined(lines(load_text("t.yaml", std::move(text), environment())));
}

struct Read {
  Diagnostics diagnostics;
  std::vector<SecretSpan> secrets;
  std::optional<Node> root;
};
Read read(std::string_view text) {
  Read result;
  result.root = read_yaml(0, text, result.diagnostics, result.secrets);
  return result;
}

std::string place(Position at) { return fmt::format("{}:{}", at.line, at.column); }

}  // namespace

TEST_CASE("keys and values know where they stand") {
  const Read read_result = read("a:\n  b: 'x'  # c\n  list:\n    - one\n    - { k: v }\nempty:\n");
  REQUIRE(read_result.root);
  const Node& a = *read_result.root->find("a");
  CHECK(place(a.key_at) == "1:1");
  CHECK(place(a.at) == "2:3");
  CHECK(place(a.find("b")->key_at) == "2:3");
  CHECK(place(a.find("b")->at) == "2:6");
  CHECK(a.find("b")->quoted);
  const Node& list = *a.find("list");
  CHECK(place(list.children[0].at) == "4:7");
  CHECK_FALSE(list.children[0].quoted);
  CHECK(place(list.children[1].find("k")->at) == "5:12");
  CHECK(path_within(*read_result.root, *list.children[1].find("k")) == "a.list[1].k");
  CHECK(place(read_result.root->find("empty")->at) == "6:1");
  CHECK(read_result.root->find("empty")->is_null());
}

TEST_CASE("what YAML allows and this language does not") {
  CHECK(problems(with_listener("drain: {}\ndrain: {}\n")) ==
        "3:1 error[duplicate-key] 'drain' stands here a second time\n");
  CHECK(problems(with_listener("drain:\n  timeout: 1s\n  'timeout': 2s\n")) ==
        "4:3 error[duplicate-key] 'timeout' stands here a second time\n");
  CHECK(problems(with_listener("defaults: &d { route: {} }\ndrain:\n  <<: *d\n")) ==
        "4:3 error[merge-key] the merge key '<<' is not allowed\n");
  CHECK(problems(with_listener("---\ndrain: {}\n")) ==
        "2:1 error[second-document] a second document, one file holds one document\n");
  CHECK(problems(with_listener("workers: !!int 4\n")) ==
        "2:10 error[tag] the YAML tag tag:yaml.org,2002:int is not allowed\n");
  CHECK(problems(with_listener("[a]: b\n")) == "2:1 error[bad-key] a key must be a text\n");
  CHECK(
      problems(with_listener("${env:X}: b\n")) ==
      "2:1 error[bad-key] ${...} is not allowed in a key\n2:1 error[unknown-key] '${env:X}' is not known\n");
  CHECK(problems("- a\n") == "1:1 error[wrong-type] a configuration is a map of keys\n");
  CHECK(problems("---\n" + with_listener("...\n")) == "");
}

TEST_CASE("a repeated key names both places") {
  const Loaded loaded = load_rest("drain: {}\ndrain: {}\n");
  CHECK(render(loaded.diagnostics, loaded.sources, Format::human) ==
        "t.yaml:3:1: error[duplicate-key]: 'drain' stands here a second time (first defined at 2:1)\n"
        "   3 | drain: {}\n     | ^^^^^\n1 error\n");
}

TEST_CASE("a syntax error is reported alone") {
  const std::string text = with_listener("workrs: 1\nworkrs: 2\ndrain: { timeout: 5s\n");
  const Loaded loaded = load_text("t.yaml", text, environment());
  REQUIRE(loaded.diagnostics.all().size() == 1);
  CHECK(loaded.diagnostics.all()[0].code == "syntax");
  CHECK(loaded.diagnostics.all()[0].at.line == 5);
  CHECK(problems(with_listener("a: \"x\n")).find("error[syntax]") != std::string::npos);
  CHECK(problems(with_listener("a: &x !!str 'x\n ''\n")) == "2:4 error[syntax] the quote is never closed\n");
  CHECK(problems(with_listener("workers: 'auto'\n")) == "");
  CHECK(problems(with_listener("a: *nowhere\n")).find("error[syntax]") != std::string::npos);
  CHECK(problems(with_listener("a: b: c\n")).find("error[syntax]") != std::string::npos);
}

TEST_CASE("an alias names both places") {
  const Loaded loaded =
      load_rest("defaults: { route: { timeouts: { idle: &t 5 } } }\ndrain: { timeout: *t }\n");
  CHECK(render(loaded.diagnostics, loaded.sources, Format::human).find("(used by the alias at 3:19)") ==
        std::string::npos);  // one mistake, told once
  const Loaded other = load_rest("drain: { timeout: &t 25h, accept_for: *t }\n");
  CHECK(other.diagnostics.errors() == 1);
  const Loaded alone = load_rest("workers: &n 5\ndrain: { timeout: *n }\n");
  CHECK(render(alone.diagnostics, alone.sources, Format::human) ==
        "t.yaml:2:10: error[bad-duration]: timeout '5' is no duration, the unit is missing (used by the "
        "alias at "
        "3:19)\n   2 | workers: &n 5\n     |          ^^ write 5s\n1 error\n");
}

TEST_CASE("alias bombs are refused in a moment") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 40; ++i) {
    bomb += fmt::format("a{0}: &a{0} [", i);
    for (int k = 0; k < 10; ++k) bomb += fmt::format("*a{},", i - 1);
    bomb += "]\n";
  }
  CHECK(problems(bomb) == "5:38 error[alias-limit] over 10000 alias expansions\n");

  std::string big = "a: &a '" + std::string(1u << 20, 'x') + "'\nb:\n";
  for (int i = 0; i < 200; ++i) big += "  - *a\n";
  CHECK(problems(big).find("error[alias-limit]") != std::string::npos);

  std::string wide = "a: &a [";
  for (int i = 0; i < 2000; ++i) wide += "1,";
  wide += "]\nb:\n";
  for (int i = 0; i < 2000; ++i) wide += "  - *a\n";
  CHECK(problems(wide).find("error[alias-limit]") != std::string::npos);

  CHECK(problems("a: &a [*a]\n").find("error[") != std::string::npos);
}

TEST_CASE("ten thousand alias expansions are allowed and one more is not") {
  const auto with_aliases = [](int count) {
    std::string text = "a: &a x\nb:\n";
    for (int i = 0; i < count; ++i) text += "- *a\n";
    return problems(text);
  };
  CHECK(with_aliases(10'000).find("alias-limit") == std::string::npos);
  CHECK(with_aliases(10'001).find("10003:3 error[alias-limit]") != std::string::npos);
}

TEST_CASE("depth is bounded, in blocks and in flow") {
  for (const std::string_view open : {"[", "{a: ", "- "}) {
    std::string text = "a: ";
    if (open == "- ") text = "a:\n";
    for (int i = 0; i < 100'000; ++i) text += open;
    CAPTURE(open);
    const Loaded loaded = load_text("t.yaml", text, environment());
    REQUIRE(loaded.diagnostics.all().size() == 1);
    CHECK(loaded.diagnostics.all()[0].severity == Severity::error);
  }
  std::string fits = "x", deep = "x";
  for (int i = 0; i < 62; ++i) fits = "[" + fits + "]";
  for (int i = 0; i < 64; ++i) deep = "[" + deep + "]";
  CHECK(read("a: " + fits + "\n").root);
  CHECK(read("a: " + deep + "\n").diagnostics.all().at(0).code == "too-deep");
}

TEST_CASE("a byte order mark is skipped and CRLF loads, with the same positions") {
  const std::string text = with_listener("drain:\n  timeout: 5\n  accept_for: 'a\n    b'\n");
  std::string crlf = "\xEF\xBB\xBF";
  for (const char c : text) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(problems(crlf) == problems(text));
  CHECK(problems(text) ==
        "3:12 error[bad-duration] timeout '5' is no duration, the unit is missing\n"
        "4:15 error[bad-duration] accept_for 'a b' is no duration\n");
}

TEST_CASE("bytes that are no text are refused with their place") {
  using namespace std::string_literals;
  CHECK(problems("a: b\nc: \xFF\n") ==
        "2:4 error[not-text] byte 0xFF is not allowed, the file must be UTF-8 text\n");
  CHECK(problems("a: \0b\n"s) ==
        "1:4 error[not-text] byte 0x00 is not allowed, the file must be UTF-8 text\n");
  CHECK(problems("\xFF\xFE"
                 "a\0:\0"s)
            .find("1:1 error[not-text]") == 0);
  CHECK(problems("a: \xC0\xAF\n").find("1:4 error[not-text]") == 0);
  CHECK(problems("a: \xED\xA0\x80\n").find("1:4 error[not-text]") == 0);
  CHECK(problems(with_listener("# gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\n")) == "");
}

TEST_CASE("a file that is not there, a folder without configuration, a giant file") {
  Folder folder;
  const auto load_problem = [&](const std::string& name) {
    const Loaded loaded = load(folder.path(name), environment());
    return joined(lines(loaded));
  };
  CHECK(load_problem("none.yaml") ==
        fmt::format("0:0 error[unreadable] cannot read configuration {}/none.yaml: No "
                    "such file or directory\n",
                    folder.path()));
  CHECK(load_problem("") ==
        fmt::format("0:0 error[unreadable] folder {}/ holds no *.yaml file\n", folder.path()));
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK(load_problem("pipe").find("it is not a regular file") != std::string::npos);
  folder.write("big.yaml", std::string((16u << 20) + 1, '#'));
  CHECK(load_problem("big.yaml").find("it is larger than 16384 KiB") != std::string::npos);
}

TEST_CASE("a folder's files join") {
  Folder folder;
  folder.write("a.yaml",
               "listeners: { name: l, address: '127.0.0.1:0' }\nroutes: [{ name: a, match: { path: /a }, "
               "public: true, upstream: u }]\ndefaults: { route: { timeouts: { idle: 7s } } }\n");
  folder.write("b.yaml",
               "routes: [{ name: b, match: { path: /b }, public: true, upstream: u }]\n"
               "upstreams: { u: { endpoints: 'a:1' } }\n");
  folder.write("c.yaml", "");
  folder.write(".hidden.yaml", "nonsense: true\n");
  folder.write("readme.txt", "nonsense: true\n");
  const Loaded loaded = load(folder.path(), environment());
  CHECK(joined(lines(loaded)) == "");
  REQUIRE(loaded.config.routes.size() == 2);
  CHECK(loaded.config.routes[1].timeouts.idle == std::chrono::seconds(7));
  CHECK(to_text(loaded.config, loaded.config.routes[1].at) == folder.path() + "/b.yaml:1:10");
}

TEST_CASE("over files, names are global and other keys stand in one file") {
  Folder folder;
  folder.write("a.yaml",
               with_listener("upstreams: { u: { endpoints: 'a:1' } }\ndrain: {}\n"
                             "routes: [{ name: r, match: { path: /a }, public: true, upstream: u }]\n"));
  folder.write("b.yaml",
               "upstreams: { u: { endpoints: 'b:1' } }\ndrain: {}\n"
               "routes: { name: r, match: { path: /b }, public: true, upstream: u }\n"
               "plugins: []\n");
  const Loaded loaded = load(folder.path(), environment());
  const std::string text = render(loaded.diagnostics, loaded.sources, Format::human);
  CAPTURE(text);
  CHECK(text.find(
            fmt::format("{0}/b.yaml:1:14: error[duplicate-name]: 'u' stands in two files (first defined at "
                        "{0}/a.yaml:2:14)",
                        folder.path())) != std::string::npos);
  CHECK(text.find("b.yaml:2:1: error[duplicate-name]: 'drain' stands in two files") != std::string::npos);
  CHECK(text.find("b.yaml:3:9: error[duplicate-name]: route 'r' is defined twice") != std::string::npos);
  CHECK(text.find("b.yaml:4:10: error[wrong-type]") != std::string::npos);
}

TEST_CASE("a syntax error in one file of a folder stands alone") {
  Folder folder;
  folder.write("a.yaml", "nonsense: true\n");
  folder.write("b.yaml", "a: [\n");
  const Loaded loaded = load(folder.path(), environment());
  REQUIRE(loaded.diagnostics.all().size() == 1);
  CHECK(loaded.diagnostics.all()[0].code == "syntax");
  CHECK(loaded.diagnostics.all()[0].at.file == 1);
}
