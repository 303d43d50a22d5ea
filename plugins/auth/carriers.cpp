#include "carriers.h"

#include "token.h"

namespace auth {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const auto lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Percent-decoded, the text is the name. A broken escape stands for itself, as in the attribute query.NAME.
bool decodes_to(std::string_view text, std::string_view name) {
  size_t i = 0;
  for (const char wanted : name) {
    if (i >= text.size()) return false;
    char c = text[i];
    size_t used = 1;
    if (c == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      c = static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      used = 3;
    }
    if (c != wanted) return false;
    i += used;
  }
  return i == text.size();
}

// How many NAME or NAME=... there are between the separators; same(NAME) says which count.
template <class Same>
uint32_t occurrences(std::string_view text, char separator, Same same) {
  uint32_t count = 0;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find(separator));
    if (same(pair.substr(0, pair.find('=')))) ++count;
    text.remove_prefix(pair.size() < text.size() ? pair.size() + 1 : pair.size());
  }
  return count;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// An empty one is none, but counts where the same carrier comes again.
uint32_t times(std::string_view value, uint32_t count) {
  return count > 1 ? count : uint32_t{!value.empty()};
}

}  // namespace

uint32_t query_occurrences(std::string_view query, std::string_view name) {
  return occurrences(query, '&', [name](std::string_view text) { return decodes_to(text, name); });
}

uint32_t cookie_occurrences(std::string_view field, std::string_view name) {
  return occurrences(field, ';', [name](std::string_view text) { return trimmed(text) == name; });
}

Carriers::Carriers(const Names& names, Form form, gw::setup& setup)
    : form_(form), raw_query_("request.query") {
  if (names.header) {
    header_ = gw::header(*names.header);
    scheme_required_ = form == Form::bearer && header_.id() == gw::header("authorization").id();
    if (!header_) setup.error("header", "'" + *names.header + "' is no header name");
    setup.carrier(GW_CARRIER_HEADER, *names.header);
  }
  if (names.query) {
    query_ = gw::attribute("query." + *names.query);
    query_name_ = *names.query;
    if (!query_) setup.error("query", "'" + *names.query + "' is no name of a query parameter");
    setup.carrier(GW_CARRIER_QUERY, *names.query);
  }
  if (names.cookie) {
    cookie_ = gw::attribute("cookie." + *names.cookie);
    cookie_field_ = gw::header("cookie");
    cookie_name_ = *names.cookie;
    if (!cookie_) setup.error("cookie", "'" + *names.cookie + "' is no name of a cookie");
    setup.carrier(GW_CARRIER_COOKIE, *names.cookie);
  }
}

Found Carriers::read(const gw::request& r) const {
  Found out;
  if (header_) read_header(r, out);
  if (query_) {
    const std::string_view value = r.attribute(query_);
    if (value.data() != nullptr)
      out.add(value, times(value, query_occurrences(r.attribute(raw_query_), query_name_)));
  }
  if (cookie_) {
    const std::string_view value = r.attribute(cookie_);
    if (value.data() != nullptr) out.add(value, times(value, cookies(r)));
  }
  return out;
}

void Carriers::read_header(const gw::request& r, Found& out) const {
  const std::string_view field = r.header(header_);
  if (field.data() == nullptr) return;
  const uint32_t fields = r.header_count(header_);
  if (form_ == Form::bare) return out.add(field, times(field, fields));
  // Two fields are refused whatever they hold: the next hop may take the other one.
  if (fields > 1) return out.add(field, fields);
  const auto credentials = bearer(field);
  if (credentials) return out.add(*credentials, 1);
  if (!scheme_required_) out.add(field, times(field, 1));
}

// Cookies may be spread over several fields (RFC 9113 8.2.3).
uint32_t Carriers::cookies(const gw::request& r) const {
  uint32_t count = 0;
  for (uint32_t i = 0; i < r.header_count(cookie_field_); ++i)
    count += cookie_occurrences(r.header(cookie_field_, i), cookie_name_);
  return count;
}

}  // namespace auth
