#include "http/http1/syntax.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace penstock;
using namespace penstock::http::http1;

TEST_CASE("a length is 1*DIGIT in 63 bits and nothing else") {
  CHECK(decimal("0") == 0);
  CHECK(decimal("00012") == 12);
  CHECK(decimal("9223372036854775807") == INT64_MAX);
  for (std::string_view bad : {"", " 1", "1 ", "+1", "-1", "0x1", "1,1", "1.0", "1e3", "9223372036854775808",
                               "99999999999999999999999", "\xd9\xa1"})
    CHECK(!decimal(bad));
}

TEST_CASE("an authority is a host name or address with an optional port") {
  BlockPool pool;
  Arena arena(pool);
  auto canonical = [&](std::string_view text) {
    return std::string(canonical_authority(text, arena).value_or("-"));
  };
  CHECK(canonical("Example.COM:80") == "example.com:80");
  CHECK(canonical("a_b-c~d.") == "a_b-c~d.");
  CHECK(canonical("127.0.0.1:0") == "127.0.0.1:0");
  CHECK(canonical("[::FFFF:1.2.3.4]:443") == "[::ffff:1.2.3.4]:443");
  CHECK(canonical("x:") == "x");
  for (std::string_view bad : {"",       ":",        ":80",  "a:b", "a:80:80", "a:65536", "a:000080",
                               "a b",    "a/b",      "a?b",  "a#b", "a@b",     "a,b",     "a%41",
                               "[",      "[]",       "[::1", "::1", "[::1]x",  "[::1]:x", "[fe80::1%25eth0]",
                               "[v1.a]", "\xc3\xa4", "a\\b", "a;b"}) {
    CAPTURE(bad);
    CHECK(canonical(bad) == "-");
  }
}

TEST_CASE("a list skips empty elements and trims the others") {
  ListReader list(" a,, b\t,,c d,");
  std::vector<std::string> seen;
  for (std::string_view element; list.next(element);) seen.emplace_back(element);
  CHECK(seen == std::vector<std::string>{"a", "b", "c d"});
}

TEST_CASE("control bytes are counted, tabs and obs-text are not") {
  CHECK(count_controls("a\tb \xe4") == 0);
  CHECK(count_controls(std::string_view("\r\n\0\x01\x1f\x7f", 6)) == 6);
  std::string long_text(1000, 'a');
  long_text[999] = '\n';
  CHECK(count_controls(long_text) == 1);
  CHECK(count_controls(std::string(10'000, '\r')) == 10'000);
}

TEST_CASE("a control byte is found wherever it stands, and nothing else is one") {
  for (int value = 0; value < 256; ++value) {
    const bool control = (value < 0x20 && value != '\t') || value == 0x7f;
    CHECK(count_controls(std::string(40, static_cast<char>(value))) == (control ? 40 : 0));
  }
  for (size_t size = 1; size < 70; ++size)
    for (size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      text[at] = '\x1f';
      CHECK(count_controls(text) == 1);
    }
}
