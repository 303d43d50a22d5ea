#include "introspection.h"

#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "token.h"

namespace auth {
namespace {

using nlohmann::json;

// application/x-www-form-urlencoded, also for the parts of Basic (RFC 6749 2.3.1).
void append_encoded(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
      continue;
    }
    out += '%';
    out += hex[static_cast<unsigned char>(c) >> 4];
    out += hex[static_cast<unsigned char>(c) & 15];
  }
}

std::string encoded(std::string_view text) {
  std::string out;
  append_encoded(out, text);
  return out;
}

std::string base64(const std::string& bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

// RFC 6750 2.1; nothing else can be a token, and so nothing else is asked about.
bool is_token(std::string_view text) {
  const size_t end = text.find_last_not_of('=');
  if (end == text.npos) return false;
  return std::all_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(end) + 1, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-._~+/").find(c) != std::string_view::npos;
  });
}

bool one_of(const std::vector<std::string>& allowed, const json& value) {
  if (value.is_array())
    return std::any_of(value.begin(), value.end(), [&](const json& each) { return one_of(allowed, each); });
  return value.is_string() &&
         std::find(allowed.begin(), allowed.end(), value.get_ref<const std::string&>()) != allowed.end();
}

// Seconds since 1970 as nanoseconds, held inside the range of the type. False: it is there and no number.
bool read_time(const json& answer, const char* name, int64_t& out) {
  const auto at = answer.find(name);
  if (at == answer.end() || at->is_null()) return true;
  if (!at->is_number()) return false;
  const double ns = at->get<double>() * 1e9;
  out = ns >= 9.2e18 ? INT64_MAX : ns <= -9.2e18 ? INT64_MIN : static_cast<int64_t>(ns);
  return true;
}

}  // namespace

Digest digest_of(std::string_view text) {
  Digest out{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), out.data(), &size, EVP_sha256(), nullptr);
  return out;
}

Introspection::Introspection(config c, gw::setup& setup)
    : config_(std::move(c)),
      self_(setup.self()),
      header_(config_.header),
      bearer_scheme_(header_.id() == gw::header("authorization").id()),
      decisions_(setup) {
  if (!header_) setup.error("header", "'" + config_.header + "' is no header name");
  const std::string id = encoded(config_.client_id), secret = encoded(config_.client_secret.reveal());
  if (config_.client_auth == ClientAuth::basic)
    authorization_ = "Basic " + base64(id + ":" + secret);
  else
    form_ = "client_id=" + id + "&client_secret=" + secret + "&";
  form_ += "token_type_hint=access_token&token=";
  const std::string plain = challenge("Bearer", setup.name());
  invalid_ = plain + ", error=\"invalid_token\"";
  insufficient_ = plain + ", error=\"insufficient_scope\"";
  setup.challenge(plain);
  setup.carrier(GW_CARRIER_HEADER, config_.header);
}

Introspection::Credential Introspection::credential(const gw::request& r) const {
  using Kind = Credential::Kind;
  const std::string_view field = r.header(header_);
  // Also when the first is empty: the next hop may take the second one.
  if (field.data() != nullptr && r.header_count(header_) > 1)
    return {Kind::bad, {}, "auth.introspection.repeated"};
  const auto behind = bearer(field);
  if (field.empty() || (bearer_scheme_ && !behind)) return {};
  const std::string_view token = behind ? *behind : field;
  if (token.size() > max_token_bytes || !is_token(token))
    return {Kind::bad, {}, "auth.introspection.malformed"};
  return {Kind::one, token, {}};
}

gw::verdict Introspection::authenticate(gw::request r) {
  const Credential given = credential(r);
  if (given.kind == Credential::Kind::bad) return refuse(r, 401, given.reason);
  if (given.kind == Credential::Kind::none) {
    decisions_.absent.add();
    return gw::absent();
  }
  auto* worker = r.worker<worker_state>();
  if (Known* known = worker->known.find(digest_of(given.token), r.wall_now())) return judge(r, *known);
  return ask(r, given.token);
}

gw::verdict Introspection::explain(gw::request r) {
  const Credential given = credential(r);
  if (given.kind == Credential::Kind::bad) return refuse(r, 401, given.reason);
  if (given.kind == Credential::Kind::none) return gw::absent();
  return gw::depends(GW_ON_FETCH, "what the introspection endpoint says of the token");
}

gw::verdict Introspection::ask(gw::request& r, std::string_view token) {
  std::string form = form_;
  append_encoded(form, token);
  const gw_field fields[] = {
      {gw::str("content-type"), gw::str("application/x-www-form-urlencoded")},
      {gw::str("accept"), gw::str("application/json")},
      {gw::str("authorization"), gw::str(authorization_)},
  };
  gw::question question;
  question.method = "POST";
  question.fields = fields;
  question.field_count = authorization_.empty() ? 2 : 3;
  question.body = form;
  question.timeout = config_.timeout;
  question.harmless = true;  // it only asks
  if (r.fetch(self_, config_.url, question) < 0) return refuse(r, 503, "auth.introspection.unavailable");
  return gw::pause();
}

gw::verdict Introspection::on_resume(gw::request r, void* data) {
  const gw::answer answer(data);
  const Credential given = credential(r);
  const auto unavailable = [&](std::string_view why) {
    r.log(gw::level::debug, self_, why);
    return refuse(r, 503, "auth.introspection.unavailable");
  };
  if (given.kind != Credential::Kind::one) return refuse(r, 401, "auth.introspection.malformed");
  if (!answer) return unavailable(answer.reason());
  if (answer.status() != 200) return unavailable("the introspection endpoint did not answer 200");
  auto known = read(answer.body());
  if (!known) return unavailable("the introspection endpoint's answer cannot be read");
  const int64_t now = gw::wall_now();
  int64_t until = now + (known->active ? config_.cache : config_.negative_cache).count();
  if (known->active && known->verified.expires_ns < INT64_MAX - config_.leeway.count())
    until = std::min(until, known->verified.expires_ns + config_.leeway.count());
  auto* worker = r.worker<worker_state>();
  if (Known* kept = worker->known.insert(digest_of(given.token), *known, until, now)) return judge(r, *kept);
  return judge(r, *known);
}

gw::verdict Introspection::refuse(gw::request& r, uint16_t status, std::string_view reason) {
  decisions_.refused.add();
  return r.refuse(status, reason, status == 401 ? invalid_ : status == 403 ? insufficient_ : std::string());
}

gw::verdict Introspection::judge(gw::request& r, Known& known) {
  if (!known.active) return refuse(r, 401, "auth.introspection.inactive");
  Verified& verified = known.verified;
  const int64_t leeway = config_.leeway.count(), now = r.wall_now();
  if (verified.expires_ns < INT64_MAX - leeway && now >= verified.expires_ns + leeway)
    return refuse(r, 401, "auth.introspection.expired");
  if (verified.not_before_ns > INT64_MIN + leeway && now < verified.not_before_ns - leeway)
    return refuse(r, 401, "auth.introspection.not_yet");
  if (known.refusal != 0) return refuse(r, known.refusal, known.reason);
  decisions_.accepted.add();
  verified.set_attributes(r);
  const gw_consumer* consumer = r.lookup(self_, GW_CREDENTIAL_JWT, verified.consumer);
  if (consumer != nullptr) return r.accept(consumer);
  verified.group_views.clear();  // of where the entry lies now
  for (const std::string& group : verified.groups) verified.group_views.push_back(gw::str(group));
  return r.identify(self_, verified.consumer, verified.group_views.data(), verified.group_views.size());
}

std::optional<Introspection::Known> Introspection::read(std::string_view body) const {
  const json answer = json::parse(body.begin(), body.end(), nullptr, false);
  if (!answer.is_object()) return std::nullopt;
  const auto active = answer.find("active");
  if (active == answer.end() || !active->is_boolean()) return std::nullopt;
  Known known;
  known.active = active->get<bool>();
  if (known.active) read_active(answer, known);
  return known;
}

void Introspection::read_active(const json& answer, Known& out) const {
  const auto lacks = [&out](uint16_t status, std::string_view reason) {
    if (out.refusal == 0) out.refusal = status, out.reason = reason;
  };
  const auto member = [&](const char* name) {
    const auto at = answer.find(name);
    return at == answer.end() ? json() : *at;
  };
  if (!read_time(answer, "exp", out.verified.expires_ns) ||
      !read_time(answer, "nbf", out.verified.not_before_ns))
    lacks(401, "auth.introspection.claim");
  if (!config_.issuer.empty() && !one_of(config_.issuer, member("iss")))
    lacks(401, "auth.introspection.issuer");
  if (!config_.audience.empty() && !one_of(config_.audience, member("aud")))
    lacks(401, "auth.introspection.audience");
  read_identity(answer, out);
  if (out.verified.consumer.empty()) lacks(401, "auth.introspection.claim");
  const json scope = member("scope");
  for (const std::string& wanted : config_.scopes)
    if (!claim_contains(scope, wanted)) lacks(403, "auth.introspection.scope");
  for (const auto& [name, text] : config_.require) {
    const json* claim = find_claim(answer, name);
    if (claim == nullptr || !claim_contains(*claim, text)) lacks(403, "auth.introspection.claim");
  }
  flatten_claims(answer, out.verified.claims);
}

void Introspection::read_identity(const json& answer, Known& out) const {
  constexpr size_t max_groups = 64, max_consumer_bytes = 1024;
  Verified& verified = out.verified;
  const json* name = find_claim(answer, config_.consumer_claim);
  if (name == nullptr || name->is_structured()) return;
  const std::string consumer = claim_text(*name);
  if (consumer.size() > max_consumer_bytes || !plain_text(consumer)) return;
  verified.consumer = consumer;
  const json* groups = config_.groups_claim ? find_claim(answer, *config_.groups_claim) : nullptr;
  if (groups == nullptr || !groups->is_array()) return;
  for (const json& group : *groups) {
    if (!group.is_string() || verified.groups.size() >= max_groups) continue;
    const auto& text = group.get_ref<const std::string&>();
    if (!text.empty() && plain_text(text)) verified.groups.push_back(text);
  }
}

}  // namespace auth
