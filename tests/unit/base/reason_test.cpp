#include "base/reason.h"

#include <doctest/doctest.h>

#include <set>
#include <string_view>

using namespace penstock;

TEST_CASE("every reason code of the core is listed once, with a status that has a phrase") {
  std::set<std::string_view> seen;
  for (const auto& row : reason_table()) {
    CAPTURE(row.code);
    CHECK(seen.insert(row.code).second);
    CHECK(!status_phrase(row.status).empty());
    CHECK(!row.meaning.empty());
    CHECK(status_of(row.code) == row.status);
  }
  CHECK(status_of("no.such.code") == 500);
}
