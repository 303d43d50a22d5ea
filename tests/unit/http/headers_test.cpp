#include "http/headers.h"

#include <doctest/doctest.h>

#include <string>

#include "http/message.h"

using namespace penstock;
using namespace penstock::http;

namespace {
std::string text(const Headers& headers) {
  std::string out;
  for (const Field& field : headers.fields())
    out.append(field.name).append("=").append(field.value).append(" ");
  return out;
}
}  // namespace

TEST_CASE("every known header name is found by its id, and nothing else is") {
  for (unsigned i = 1; i < static_cast<unsigned>(HeaderId::count_); ++i) {
    auto id = static_cast<HeaderId>(i);
    std::string name(header_name(id));
    CAPTURE(name);
    CHECK(!name.empty());
    CHECK(header_id(name) == id);
    CHECK(header_id(name + "x") == HeaderId::other);
    CHECK(header_id(name.substr(1)) == HeaderId::other);
    for (char& c : name) {
      char kept = std::exchange(c, '~');
      CHECK(header_id(name) == HeaderId::other);
      c = kept;
    }
  }
  for (std::string_view name : {"", "x", "Host", "range", "content-lengt", "content_length"})
    CHECK(header_id(name) == HeaderId::other);
}

TEST_CASE("fields keep their order and multiplicity over edits") {
  BlockPool pool;
  Arena arena(pool);
  Headers headers(arena);
  headers.add("a", "1");
  headers.add(HeaderId::cookie, "2");
  headers.add("a", "3");
  headers.add("b", "4");
  CHECK(headers.count("a") == 2);
  CHECK(headers.get(HeaderId::cookie) == "2");
  CHECK(headers.find("cookie")->id == HeaderId::cookie);
  CHECK(headers.find("b")->value == "4");
  CHECK(headers.find("c") == nullptr);
  headers.set("a", "5");
  CHECK(text(headers) == "a=5 cookie=2 b=4 ");
  headers.set(HeaderId::host, "x");
  CHECK(headers.remove("b") == 1);
  CHECK(headers.remove(HeaderId::cookie) == 1);
  CHECK(headers.remove("b") == 0);
  CHECK(text(headers) == "a=5 host=x ");
  for (int i = 0; i < 100; ++i) headers.add("n", "v");
  CHECK(headers.count("n") == 100);
  CHECK(headers.fields().front().value == "5");
}

TEST_CASE("method names go both ways, and only safe repetition is idempotent") {
  for (Method method : {Method::get, Method::head, Method::post, Method::put, Method::delete_,
                        Method::options, Method::patch, Method::trace, Method::connect})
    CHECK(method_from(name(method)) == method);
  for (std::string_view token : {"", "get", "PROPFIND", "GETS"}) CHECK(method_from(token) == Method::other);
  CHECK(idempotent(Method::put));
  CHECK(idempotent(Method::delete_));
  CHECK(!idempotent(Method::post));
  CHECK(!idempotent(Method::patch));
  CHECK(!idempotent(Method::other));
}
