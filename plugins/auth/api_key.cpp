#include "api_key.h"

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

}  // namespace

ApiKey::ApiKey(config c, gw::setup& setup)
    : self_(setup.self()), raw_query_("request.query"), decisions_(setup) {
  if (!c.header && !c.query && !c.cookie) c.header = "x-api-key";
  if (c.header) {
    header_ = gw::header(*c.header);
    if (!header_) setup.error("header", "'" + *c.header + "' is no header name");
    setup.carrier(GW_CARRIER_HEADER, *c.header);
  }
  if (c.query) {
    query_ = gw::attribute("query." + *c.query);
    query_name_ = *c.query;
    if (!query_) setup.error("query", "'" + *c.query + "' is no name of a query parameter");
    setup.carrier(GW_CARRIER_QUERY, *c.query);
  }
  if (c.cookie) {
    cookie_ = gw::attribute("cookie." + *c.cookie);
    cookie_field_ = gw::header("cookie");
    cookie_name_ = *c.cookie;
    if (!cookie_) setup.error("cookie", "'" + *c.cookie + "' is no name of a cookie");
    setup.carrier(GW_CARRIER_COOKIE, *c.cookie);
  }
  setup.challenge(challenge("ApiKey", setup.name()));
}

gw::verdict ApiKey::authenticate(gw::request r) const {
  std::string_view key;
  uint32_t keys = 0;
  // An empty one is none, but counts where the same carrier comes again.
  const auto found = [&](std::string_view value, uint32_t count) {
    keys += count > 1 ? count : uint32_t{!value.empty()};
    if (!value.empty()) key = value;
  };
  if (header_) {
    const std::string_view value = r.header(header_);
    if (value.data() != nullptr) found(value, r.header_count(header_));
  }
  if (query_) {
    const std::string_view value = r.attribute(query_);
    const auto own = [this](std::string_view name) { return decodes_to(name, query_name_); };
    if (value.data() != nullptr) found(value, occurrences(r.attribute(raw_query_), '&', own));
  }
  if (cookie_) {
    const std::string_view value = r.attribute(cookie_);
    if (value.data() != nullptr) found(value, cookies(r));
  }
  // Two keys, one of them maybe empty: which of them the next hop would take is anybody's guess.
  if (keys > 1) {
    decisions_.refused.add();
    return r.refuse(401, "auth.key.repeated");
  }
  if (keys == 1) return judge(r, key);
  decisions_.absent.add();
  return gw::absent();
}

// Cookies may be spread over several fields (RFC 9113 8.2.3).
uint32_t ApiKey::cookies(const gw::request& r) const {
  const auto own = [this](std::string_view name) { return trimmed(name) == cookie_name_; };
  uint32_t count = 0;
  for (uint32_t i = 0; i < r.header_count(cookie_field_); ++i)
    count += occurrences(r.header(cookie_field_, i), ';', own);
  return count;
}

gw::verdict ApiKey::judge(gw::request& r, std::string_view key) const {
  const gw_consumer* consumer = nullptr;
  if (key.size() <= max_key_bytes) consumer = r.lookup(self_, GW_CREDENTIAL_API_KEY, key);
  if (consumer == nullptr) {
    decisions_.refused.add();
    return r.refuse(401, "auth.key.unknown");
  }
  decisions_.accepted.add();
  return r.accept(consumer);
}

}  // namespace auth
