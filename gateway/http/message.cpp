#include "http/message.h"

#include <array>

namespace penstock::http {
namespace {
// In the order of Method; `other` has no name of its own.
constexpr std::array<std::string_view, 10> names{"GET",     "HEAD",  "POST",  "PUT",     "DELETE",
                                                 "OPTIONS", "PATCH", "TRACE", "CONNECT", ""};
}  // namespace

std::string_view name(Method method) { return names[static_cast<size_t>(method)]; }

Method method_from(std::string_view token) {
  for (size_t i = 0; i + 1 < names.size(); ++i)
    if (names[i] == token) return static_cast<Method>(i);
  return Method::other;
}

std::string_view name(Version version) {
  switch (version) {
    case Version::http_1_0: return "1.0";
    case Version::http_1_1: return "1.1";
    case Version::http_2: return "2";
  }
  return {};
}

bool idempotent(Method method) {
  switch (method) {
    case Method::get:
    case Method::head:
    case Method::put:
    case Method::delete_:
    case Method::options:
    case Method::trace: return true;
    case Method::post:
    case Method::patch:
    case Method::connect:
    case Method::other: return false;
  }
  return false;
}

}  // namespace penstock::http
