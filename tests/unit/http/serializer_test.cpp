#include "http/http1/serializer.h"

#include <doctest/doctest.h>

#include <string>

using namespace penstock::http::http1;

TEST_CASE("a date is written as IMF-fixdate") {
  struct Date {
    int64_t seconds;
    const char* text;
  };
  for (const Date& date :
       {Date{0, "Thu, 01 Jan 1970 00:00:00 GMT"}, Date{784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        Date{951827696, "Tue, 29 Feb 2000 12:34:56 GMT"},
        Date{1795305599, "Sat, 21 Nov 2026 23:59:59 GMT"}}) {
    char out[date_size];
    write_date(date.seconds, out);
    CHECK(std::string(out, sizeof(out)) == date.text);
  }
}
