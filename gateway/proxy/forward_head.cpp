// What the backend gets to see of a request and the client of an answer (LANGUAGE.md "Forwarding" and
// "rewrite").
#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/reason.h"
#include "proxy/exchange_state.h"
#include "proxy/hop_fields.h"
#include "proxy/path_match.h"
#include "proxy/rewrite.h"

namespace penstock::proxy {
namespace {
using http::HeaderId;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool trusted(const ListenerInfo& listener, const net::Address& address) {
  return std::ranges::any_of(listener.trusted_proxies,
                             [&](const net::Cidr& cidr) { return cidr.contains(address); });
}

// One hop of X-Forwarded-For or of Forwarded's for=: an IP, maybe quoted, in brackets, with a port.
std::optional<net::Address> hop_address(std::string_view text) {
  text = trim(text);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  if (text.starts_with('[')) {
    size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    text = text.substr(1, end - 1);
  } else if (std::ranges::count(text, ':') == 1) {
    text = text.substr(0, text.find(':'));
  }
  return net::Address::from_ip(text, 0);
}

std::string_view forwarded_for(std::string_view element) {  // RFC 7239: for=...;proto=...
  while (!element.empty()) {
    size_t end = element.find(';');
    std::string_view pair = trim(element.substr(0, end));
    element = end == std::string_view::npos ? std::string_view{} : element.substr(end + 1);
    if (pair.size() > 4 && (pair[0] | 32) == 'f' && (pair[1] | 32) == 'o' && (pair[2] | 32) == 'r' &&
        pair[3] == '=')
      return pair.substr(4);
  }
  return {};
}

// Walks the hops from the nearest outwards; the first that is no trusted proxy is the client.
net::Address client_of(const RequestContext& context, const ListenerInfo& listener) {
  net::Address client = *context.peer;
  bool standard = listener.client_address == config::ClientAddress::forwarded;
  auto fields = context.request.headers.fields();
  for (size_t i = fields.size(); i-- > 0;) {
    if (fields[i].id != (standard ? HeaderId::forwarded : HeaderId::x_forwarded_for)) continue;
    std::string_view rest = fields[i].value;
    for (size_t comma = 0; !rest.empty() && comma != std::string_view::npos;) {
      comma = rest.rfind(',');
      std::string_view hop = comma == std::string_view::npos ? rest : rest.substr(comma + 1);
      auto address = hop_address(standard ? forwarded_for(hop) : hop);
      // What lies beyond a hop that nobody can read, an empty one too, is not believed.
      if (!address) return client;
      client = *address;
      if (!trusted(listener, client)) return client;
      if (comma == 0) return client;  // the outermost hop is an empty one
      rest = rest.substr(0, comma);
    }
  }
  return client;
}

bool good_request_id(std::string_view id) {
  if (id.empty() || id.size() > 64) return false;
  return std::ranges::all_of(id, [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  });
}

// Eight hexadecimal digits at once: each nibble in a byte of its own, which then becomes its digit.
void write_hex(uint32_t bits, char* out) {
  constexpr uint64_t ones = 0x0101010101010101;
  uint64_t lanes = bits;
  lanes = (lanes | lanes << 16) & 0x0000ffff0000ffff;
  lanes = (lanes | lanes << 8) & 0x00ff00ff00ff00ff;
  lanes = (lanes | lanes << 4) & 0x0f0f0f0f0f0f0f0f;
  const uint64_t letters = (lanes + 6 * ones) >> 4 & ones;
  lanes += '0' * ones + letters * ('a' - '0' - 10);
  std::memcpy(out, &lanes, sizeof lanes);
}

std::string_view new_request_id(Arena& arena, Random& random) {
  char* out = static_cast<char*>(arena.allocate(32, 1));
  for (int half = 0; half < 2; ++half) {
    const uint64_t bits = random.next();
    write_hex(static_cast<uint32_t>(bits), out + half * 16);
    write_hex(static_cast<uint32_t>(bits >> 32), out + half * 16 + 8);
  }
  return {out, 32};
}

// The list without the pairs NAME or NAME=... that gone(NAME) names; data() null: none is left.
template <class Gone>
std::string_view without(Arena& arena, std::string_view list, char separator, Gone gone) {
  char* out = static_cast<char*>(arena.allocate(list.size() + 1, 1));
  size_t size = 0;
  bool any = false;
  for (size_t at = 0; at <= list.size();) {
    std::string_view pair = list.substr(at, list.substr(at).find(separator));
    at += pair.size() + 1;
    if (gone(pair.substr(0, pair.find('=')))) continue;
    if (any) out[size++] = separator;
    if (!pair.empty()) std::memcpy(out + size, pair.data(), pair.size());
    size += pair.size();
    any = true;
  }
  return any ? std::string_view{out, size} : std::string_view{};
}

bool among(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// What this route's authenticators read is for the gateway alone.
void drop_credentials(RequestContext& context) {
  const Route& route = *context.route;
  http::Message& head = context.request;
  for (const std::string& name : route.dropped_headers) head.headers.remove(name);
  if (!route.dropped_query.empty() && head.has_query) {
    std::string_view kept = without(context.arena, head.query, '&', [&](std::string_view name) {
      return among(route.dropped_query, percent_decode(context.arena, name));
    });
    if (kept.size() != head.query.size()) {
      context.sent_query = head.query;
      head.query = kept;
      head.has_query = kept.data() != nullptr;
    }
  }
  if (route.dropped_cookies.empty()) return;
  for (http::Field& field : head.headers.fields())
    if (field.id == HeaderId::cookie)
      field.value = trim(without(context.arena, field.value, ';', [&](std::string_view name) {
        return among(route.dropped_cookies, trim(name));
      }));
  head.headers.remove_if(
      [](const http::Field& field) { return field.id == HeaderId::cookie && field.value.empty(); });
}

}  // namespace

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {  // splitmix64, as the authors of xoshiro advise for seeding
    seed += 0x9e3779b97f4a7c15ULL;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  uint64_t result = state_[0] + state_[3];
  uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = (state_[3] << 45) | (state_[3] >> 19);
  return result;
}

void CompiledEdits::apply(http::Headers& headers, const RequestContext& request) const {
  for (const std::string& name : remove) headers.remove(name);
  for (const auto& [name, value] : set) {
    std::string_view text = value.render(request);
    if (text.empty())
      headers.remove(name);
    else
      headers.set(name, text);
  }
  for (const auto& [name, value] : add) {
    std::string_view text = value.render(request);
    if (!text.empty()) headers.add(name, text);
  }
}

// A trusted proxy is believed in the family of fields that client_address names: one that writes the one
// passes on the other as its client forged it.
static void drop_unbelieved(http::Headers& headers, bool believed, bool standard) {
  headers.remove_if([&](const http::Field& field) {
    if (field.id == HeaderId::forwarded) return !(believed && standard);
    return field.name.starts_with("x-forwarded-") && !(believed && !standard);
  });
}

void fill_client_facts(RequestContext& context, const ListenerInfo& listener, const http::Stream& stream,
                       Random& random) {
  context.listener = listener.name;
  context.sent_path = context.request.path;
  context.sent_host = context.request.authority;
  context.scheme = listener.scheme;
  context.listener_port = listener.address.port() ? listener.address.port() : stream.local().port();
  context.peer = &stream.peer();
  context.tls = stream.tls();
  context.stream = &stream;
  context.client = *context.peer;
  // A PROXY header says who the peer is and nothing of what the peer sends.
  bool believed = listener.client_address != config::ClientAddress::proxy_protocol &&
                  !listener.trusted_proxies.empty() && trusted(listener, *context.peer);
  if (believed) context.client = client_of(context, listener);
  context.believed = believed;
  context.behind_proxy = believed || listener.client_address == config::ClientAddress::proxy_protocol;
  char* text = static_cast<char*>(context.arena.allocate(INET6_ADDRSTRLEN, 1));
  context.client_address = {text, context.client.write_ip(text)};
  http::Headers& headers = context.request.headers;
  drop_unbelieved(headers, believed, listener.client_address == config::ClientAddress::forwarded);
  std::string_view sent = headers.get(HeaderId::x_request_id);
  if (believed && good_request_id(sent)) {
    context.request_id = sent;
    return;
  }
  context.request_id = new_request_id(context.arena, random);
  if (good_request_id(sent) && !headers.find(HeaderId::x_correlation_id))
    headers.add(HeaderId::x_correlation_id, sent);
  headers.set(HeaderId::x_request_id, context.request_id);
}

// CGI and its heirs read x_consumer and x-consumer as one name, so a field that would then stand for one that
// the gateway sets, or takes away, is a forgery.
static bool same_but_underscores(std::string_view sent, std::string_view ours) {
  return sent.size() == ours.size() &&
         std::ranges::equal(sent, ours, [](char a, char b) { return a == b || (a == '_' && b == '-'); });
}

// Does a client's field stand for one that the gateway decides on?
static bool stands_for_ours(std::string_view sent, const Route& route) {
  constexpr std::string_view prefix = "x-forwarded-";
  auto same = [&](std::string_view ours) { return same_but_underscores(sent, ours); };
  return same("x-request-id") || same_but_underscores(sent.substr(0, prefix.size()), prefix) ||
         std::ranges::any_of(route.identity_headers,
                             [&](const auto& identity) { return same(identity.name); }) ||
         std::ranges::any_of(route.dropped_headers, same) || route.request_edits.decides(same);
}

static void drop_look_alikes(http::Headers& headers, const Route& route) {
  auto underscored = [](const http::Field& field) { return field.name.find('_') != field.name.npos; };
  if (std::ranges::none_of(headers.fields(), underscored)) return;
  headers.remove_if(
      [&](const http::Field& field) { return underscored(field) && stands_for_ours(field.name, route); });
}

// RFC 6265 5.4 knows one Cookie field; of two, backends read the first, the last or both.
static void join_cookies(http::Headers& headers, Arena& arena) {
  auto cookie = [](const http::Field& field) { return field.id == HeaderId::cookie; };
  if (std::ranges::count_if(headers.fields(), cookie) < 2) return;
  headers.remove_if([&](const http::Field& field) { return cookie(field) && field.value.empty(); });
  if (std::ranges::count_if(headers.fields(), cookie) > 1)
    headers.set(HeaderId::cookie, joined(headers, HeaderId::cookie, "; ", arena));
}

void prepare_request_head(RequestContext& context, const ListenerInfo& listener) {
  const Route& route = *context.route;
  http::Message& head = context.request;
  http::Headers& headers = head.headers;
  drop_credentials(context);
  drop_look_alikes(headers, route);
  head.path = context.forwarded_path;
  if (route.config->rewrite && route.config->rewrite->host) head.authority = *route.config->rewrite->host;
  if (!head.upgrade.empty() &&
      std::ranges::find(route.config->upgrade, head.upgrade) == route.config->upgrade.end())
    head.upgrade = {};

  join_cookies(headers, context.arena);
  add_hop_fields(context, listener);

  for (const Route::IdentityHeader& identity : route.identity_headers) {
    headers.remove(identity.name);
    std::string_view value = field_text(context, identity.value);
    if (!value.empty()) headers.add(identity.name, value);
  }
  route.request_edits.apply(headers, context);
}

// Some backends merge trailers into the head, so what the head may not say, they may not either.
void prepare_request_trailers(const RequestContext& context, http::Headers& trailers) {
  trailers.remove_if([&](const http::Field& field) { return stands_for_ours(field.name, *context.route); });
}

// Trailers and interim answers may not say what the route decides on in the final head.
void prepare_response_side_fields(const RequestContext& context, http::Headers& fields) {
  fields.remove_if([&](const http::Field& field) {
    return field.id == HeaderId::x_request_id ||
           context.route->response_edits.decides([&](std::string_view ours) { return field.name == ours; });
  });
}

void prepare_response_head(RequestContext& context, http::Message& head) {
  const Route& route = *context.route;
  const auto& rewrite = route.config->rewrite;
  if (rewrite && rewrite->location == config::Rewrite::Location::map_back && rewrite->path_prefix)
    if (auto mapped = location_for_client(context, head.headers.get(HeaderId::location)))
      head.headers.set(HeaderId::location, *mapped);
  route.response_edits.apply(head.headers, context);
}

std::string_view problem_json(const RequestContext& context) {
  const LocalResponse& local = context.local;
  static constexpr char digits[] = "0123456789abcdef";
  // Only the detail and the reason may come from a plugin and are escaped; the rest is ours.
  auto quoted = [&](std::string_view text) -> std::string_view {
    char* out = static_cast<char*>(context.arena.allocate(text.size() * 6 + 1, 1));
    size_t size = 0;
    for (unsigned char c : text) {
      if (c == '"' || c == '\\') out[size++] = '\\';
      if (c >= 0x20 && c < 0x7f) {
        out[size++] = static_cast<char>(c);
        continue;
      }
      for (char d : {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}) out[size++] = d;
    }
    return {out, size};
  };
  char number[8];
  auto end = std::to_chars(number, number + sizeof number, local.status).ptr;
  Arena& arena = context.arena;
  std::string_view status = arena.copy({number, static_cast<size_t>(end - number)});
  std::string_view out = arena.join("{\"type\":\"about:blank\",\"title\":\"", status_phrase(local.status),
                                    "\",\"status\":", status);
  if (!local.detail.empty()) out = arena.join(out, ",\"detail\":\"", quoted(local.detail), "\"");
  if (!local.reason.empty()) out = arena.join(out, ",\"reason\":\"", quoted(local.reason), "\"");
  out = arena.join(out, ",\"request_id\":\"", context.request_id, "\"");
  if (!local.members.empty()) out = arena.join(out, ",", local.members);
  return arena.join(out, "}\n");
}

}  // namespace penstock::proxy
