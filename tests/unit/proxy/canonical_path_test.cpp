#include "proxy/canonical_path.h"

#include <doctest/doctest.h>

#include <string>

using namespace penstock;

namespace {
// "!" for a refusal.
std::string canonical(std::string_view path) {
  BlockPool pool;
  Arena arena(pool);
  auto result = proxy::canonical_path(arena, path);
  return result ? std::string(*result) : "!";
}
}  // namespace

TEST_CASE("a path is brought into one form, and what has two readings is refused") {
  struct Row {
    std::string_view sent, matched;
  };
  for (Row row : {
           Row{"/", "/"},
           Row{"", "/"},
           Row{"*", "*"},
           Row{"/a/b", "/a/b"},
           Row{"/a/b/", "/a/b/"},
           Row{"/%61", "/a"},
           Row{"/%7euser", "/~user"},
           Row{"/%2d%2e%5f", "/-._"},
           Row{"/a%20b", "/a%20b"},
           Row{"/%c3%a9", "/%C3%A9"},
           Row{"/a;b=c/d", "/a;b=c/d"},
           Row{"/a%3bb", "/a%3Bb"},
           Row{"//a///b", "/a/b"},
           Row{"//", "/"},
           Row{"/a//", "/a/"},
           Row{"/./a/./b", "/a/b"},
           Row{"/a/.", "/a/"},
           Row{"/a/b/..", "/a/"},
           Row{"/a/../b", "/b"},
           Row{"/a/b/../../c", "/c"},
           Row{"/a/%2e%2e/b", "/b"},
           Row{"/a/%2E/b", "/a/b"},
           Row{"/...", "/..."},
           Row{"/.a", "/.a"},
           Row{"/a..", "/a.."},
           Row{"/a/..b", "/a/..b"},
           Row{"/%252e%252e", "/%252e%252e"},  // nothing is decoded twice
           Row{"/..", "!"},
           Row{"/a/../..", "!"},
           Row{"/%2e%2e/a", "!"},
           Row{"/a//../..", "!"},
           Row{"/a%2fb", "!"},
           Row{"/a%2Fb", "!"},
           Row{"/a%5cb", "!"},
           Row{"/a\\b", "!"},
           Row{"/%00", "!"},
           Row{"/a%", "!"},
           Row{"/a%2", "!"},
           Row{"/a%zz", "!"},
           Row{"/a%1", "!"},
           Row{"a/b", "!"},
           Row{"/a b", "!"},
           Row{"/a#b", "!"},
           Row{"/a\x7f", "!"},
           Row{"/\xc3\xa9", "!"},
           Row{"/a\tb", "!"},
       }) {
    CAPTURE(row.sent);
    CHECK(canonical(row.sent) == row.matched);
  }
}

TEST_CASE("the canonical form of a canonical path is itself, without a copy") {
  BlockPool pool;
  Arena arena(pool);
  std::string path = "/orders/17/items";
  auto result = proxy::canonical_path(arena, path);
  REQUIRE(result);
  CHECK(result->data() == path.data());
  for (std::string_view sent : {"/a%20b/../c//d/./e", "/%c3%a9/%7e", "//x/%2e/y/"}) {
    std::string once = canonical(sent);
    CHECK(canonical(once) == once);
  }
}
