#include "proxy/request_context.h"

#include <charconv>

#include "proxy/path_match.h"
#include "proxy/route.h"

namespace penstock::proxy {
namespace {

constexpr std::string_view absent{};
constexpr std::string_view empty{"", 0};

std::string_view or_absent(std::string_view text) { return text.empty() ? absent : text; }

std::string_view number(Arena& arena, uint64_t value) {
  char text[20];
  auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return arena.copy({text, static_cast<size_t>(end - text)});
}

std::string_view joined_groups(const RequestContext& request) {
  std::string_view out = empty;
  auto append = [&](std::string_view group) {
    out = out.empty() ? group : request.arena.join(out, ",", group);
  };
  if (request.consumer)
    for (const std::string& group : request.consumer->groups) append(group);
  // A role of a token may hold a comma, and must not read as two.
  for (std::string_view group : request.identity_groups)
    if (group.find(',') == group.npos) append(group);
  return or_absent(out);
}

// What the client sent, once nothing goes to the backend any more: the log masks credentials itself.
std::string_view query_of(const RequestContext& request) {
  const bool over = request.phase == Phase::complete && request.sent_query.data();
  return over ? request.sent_query : request.request.query;
}

std::string_view protocol(http::Version version) {
  switch (version) {
    case http::Version::http_1_0: return "HTTP/1.0";
    case http::Version::http_1_1: return "HTTP/1.1";
    case http::Version::http_2: return "HTTP/2";
  }
  return empty;
}

}  // namespace

std::string_view query_value(Arena& arena, std::string_view query, std::string_view name) {
  std::string_view first = absent;
  each_query_value(arena, query, name, [&](std::string_view value) {
    if (!first.data()) first = value;
  });
  return first;
}

std::string_view cookie_value(const http::Headers& headers, std::string_view name) {
  for (const http::Field& field : headers.fields()) {
    if (field.id != http::HeaderId::cookie) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      size_t end = rest.find(';');
      std::string_view pair = rest.substr(0, end);
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
      while (!pair.empty() && (pair.front() == ' ' || pair.front() == '\t')) pair.remove_prefix(1);
      size_t equal = pair.find('=');
      if (equal != std::string_view::npos && pair.substr(0, equal) == name) {
        std::string_view value = pair.substr(equal + 1);
        return value.empty() ? empty : value;
      }
    }
  }
  return absent;
}

bool RequestContext::in_group(std::string_view group) const {
  if (consumer)
    for (const std::string& own : consumer->groups)
      if (own == group) return true;
  for (std::string_view own : identity_groups)
    if (own == group) return true;
  return false;
}

std::string_view RequestContext::query_attribute() const {
  std::string_view sent = query_of(*this);
  return sent.data() ? sent : request.has_query ? empty : absent;
}

std::string_view RequestContext::attribute(const Attribute& a) const {
  switch (a.kind) {
    case AttributeKind::client_address: return or_absent(client_address);
    case AttributeKind::consumer_id: return consumer_id;
    case AttributeKind::consumer_groups: return joined_groups(*this);
    case AttributeKind::request_method: return or_absent(request.method_text);
    case AttributeKind::request_id: return or_absent(request_id);
    case AttributeKind::request_scheme: return or_absent(scheme);
    case AttributeKind::request_host: return or_absent(sent_host);
    case AttributeKind::request_path: return or_absent(sent_path);
    case AttributeKind::request_query: return query_attribute();
    case AttributeKind::request_size: return number(arena, request_body_bytes);
    case AttributeKind::request_protocol: return protocol(request.version);
    case AttributeKind::response_status: return response_status ? number(arena, response_status) : absent;
    case AttributeKind::response_size: return response_status ? number(arena, response_body_bytes) : absent;
    case AttributeKind::reason: return or_absent(reason);
    case AttributeKind::route_name: return route ? std::string_view(route->name) : absent;
    case AttributeKind::upstream_name: return or_absent(upstream_name);
    case AttributeKind::endpoint_address: return or_absent(endpoint_address);
    case AttributeKind::api_version: return or_absent(api_version);
    case AttributeKind::duration_total: return absent;  // known from the summary alone
    case AttributeKind::listener_name: return or_absent(listener);
    case AttributeKind::header: {
      const http::Field* field =
          a.header == http::HeaderId::other ? request.headers.find(a.name) : request.headers.find(a.header);
      if (field) return field->value.data() ? field->value : empty;
      if (a.header == http::HeaderId::host) return or_absent(sent_host);
      return absent;
    }
    case AttributeKind::query: return query_value(arena, query_of(*this), a.name);
    case AttributeKind::cookie: return cookie_value(request.headers, a.name);
    case AttributeKind::path_parameter:
      for (const PathParameter& parameter : parameters)
        if (parameter.name == a.name) return parameter.value;
      return absent;
    case AttributeKind::claim: {  // only ever set by an authenticator
      for (const SetAttribute* set = attributes; set; set = set->next) {
        const Attribute* known = names->attributes.get(set->id);
        if (known && known->kind == a.kind && known->name == a.name) return set->value;
      }
      return absent;
    }
  }
  return absent;
}

std::string_view RequestContext::attribute(uint32_t id) const {
  const Attribute* known = names ? names->attributes.get(id) : nullptr;
  if (!known) return absent;
  if (known->kind == AttributeKind::api_version || known->kind == AttributeKind::claim) {  // can be set
    for (const SetAttribute* set = attributes; set; set = set->next)
      if (set->id == id) return set->value;
  }
  return attribute(*known);
}

void RequestContext::set_attribute(uint32_t id, std::string_view value) {
  attributes = arena.make<SetAttribute>(id, value.data() ? value : empty, attributes);
  const Attribute* known = names->attributes.get(id);
  if (known && known->kind == AttributeKind::api_version) api_version = value;
}

}  // namespace penstock::proxy
