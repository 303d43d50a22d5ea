#include "api_key.h"

namespace auth {
namespace {

// How often NAME= stands in the query, which a lookup of the first one cannot tell. Names are compared as
// sent: one that only decodes to the same counts as another name, and the lookup then finds the first of
// them.
int occurrences(std::string_view query, std::string_view name) {
  int count = 0;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    if (pair.substr(0, pair.find('=')) == name) ++count;
    query.remove_prefix(pair.size() < query.size() ? pair.size() + 1 : pair.size());
  }
  return count;
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
    if (!cookie_) setup.error("cookie", "'" + *c.cookie + "' is no name of a cookie");
    setup.carrier(GW_CARRIER_COOKIE, *c.cookie);
  }
  setup.challenge(challenge("ApiKey", setup.name()));
}

gw::verdict ApiKey::authenticate(gw::request r) const {
  if (header_) {
    const std::string_view key = r.header(header_);
    if (key.data() != nullptr) {
      // Two keys: which of them the next hop would take is anybody's guess.
      if (r.header_count(header_) > 1) {
        decisions_.refused.add();
        return r.refuse(401, "auth.key.repeated");
      }
      if (!key.empty()) return judge(r, key);
    }
  }
  if (query_) {
    const std::string_view key = r.attribute(query_);
    if (!key.empty()) {
      if (occurrences(r.attribute(raw_query_), query_name_) > 1) {
        decisions_.refused.add();
        return r.refuse(401, "auth.key.repeated");
      }
      return judge(r, key);
    }
  }
  if (cookie_) {
    const std::string_view key = r.attribute(cookie_);
    if (!key.empty()) return judge(r, key);
  }
  decisions_.absent.add();
  return gw::absent();
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
