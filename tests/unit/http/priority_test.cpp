#include "http/http2/priority.h"

#include <doctest/doctest.h>

using penstock::http::http2::Priority;

TEST_CASE("a priority is what its field says, and what it does not say stays") {
  struct Case {
    const char* field;
    Priority expected;
  };
  for (const Case& each :
       {Case{"", {3, false}}, Case{"u=0", {0, false}}, Case{"i", {3, true}}, Case{"u=7, i", {7, true}},
        Case{"i=?1,u=5", {5, true}}, Case{"u=2, i=?0", {2, false}}, Case{"u=1;x=y, i;z", {1, true}},
        Case{"u=8", {3, false}}, Case{"u=-1", {3, false}}, Case{"u=10", {3, false}}, Case{"u", {3, false}},
        Case{"U=1, I", {3, false}}, Case{"x=\"u=1\", u=6", {6, false}}, Case{"u=1, u=4", {4, false}}}) {
    CAPTURE(each.field);
    Priority priority;
    priority.merge(each.field);
    CHECK(priority == each.expected);
  }
  Priority urgent{1, true};
  urgent.merge("u=5");
  CHECK(urgent == Priority{5, true});
}
