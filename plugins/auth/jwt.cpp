#include "jwt.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "token.h"

namespace auth {
namespace {

using nlohmann::json;

std::optional<std::string> read_file(const std::string& path) {
  constexpr size_t max_bytes = 1 << 20;
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file == nullptr) return std::nullopt;
  std::string out(max_bytes, '\0');
  out.resize(std::fread(out.data(), 1, out.size(), file.get()));
  return std::ferror(file.get()) != 0 ? std::nullopt : std::optional(std::move(out));
}

// Seconds since 1970 as nanoseconds, held inside the range of the type.
int64_t nanoseconds(double seconds) {
  const double ns = seconds * 1e9;
  if (ns >= 9.2e18) return INT64_MAX;
  if (ns <= -9.2e18) return INT64_MIN;
  return static_cast<int64_t>(ns);
}

bool one_of(const std::vector<std::string>& allowed, const json& value) {
  return value.is_string() &&
         std::find(allowed.begin(), allowed.end(), value.get_ref<const std::string&>()) != allowed.end();
}

}  // namespace

Jwt::Jwt(config c, gw::setup& setup)
    : config_(std::move(c)),
      self_(setup.self()),
      header_(config_.header),
      bearer_scheme_(header_.id() == gw::header("authorization").id()),
      decisions_(setup) {
  if (!header_) setup.error("header", "'" + config_.header + "' is no header name");
  load_keys(setup);
  check_algorithms(setup);
  const std::string plain = challenge("Bearer", setup.name());
  invalid_ = plain + ", error=\"invalid_token\"";
  insufficient_ = plain + ", error=\"insufficient_scope\"";
  setup.challenge(plain);
  setup.carrier(GW_CARRIER_HEADER, config_.header);
}

void Jwt::load_keys(gw::setup& setup) {
  const int sources = int{config_.jwks_file.has_value()} + int{config_.public_key_file.has_value()} +
                      int{config_.secret.has_value()} + int{config_.jwks_uri.has_value()};
  if (sources != 1) {
    setup.error("needs exactly one of jwks_file, jwks_uri, public_key_file, secret");
    return;
  }
  const auto load = [&](const gw::path& path, std::string_view key,
                        std::string (KeySet::*add)(const std::string&)) {
    const auto text = read_file(path.text);
    const std::string wrong = text ? (keys_.*add)(*text) : "cannot be read";
    if (!wrong.empty()) setup.error(key, path.text + " " + wrong);
  };
  if (config_.jwks_uri) make_source(setup);
  if (config_.jwks_file) load(*config_.jwks_file, "jwks_file", &KeySet::add_jwks);
  if (config_.public_key_file) load(*config_.public_key_file, "public_key_file", &KeySet::add_public_key);
  if (config_.secret) {
    const std::string wrong = keys_.add_secret(config_.secret->reveal());
    if (!wrong.empty()) setup.error("secret", wrong);
  }
}

void Jwt::make_source(gw::setup& setup) {
  const gw_config_v0& read = *gw::detail::host.config;
  const gw_node* node = read.get(setup.node(), gw::str("jwks_uri"));
  if (read.kind(node) == GW_NODE_MAP) node = read.get(node, gw::str("url"));
  gw_str url{};
  read.get_string(node, &url);
  const KeySource::settings settings{
      *config_.jwks_uri,    std::string(gw::view(url)), config_.jwks_refresh, config_.jwks_min_interval,
      config_.jwks_timeout, config_.jwks_wait,          config_.jwks_waiters};
  const auto parse = [](std::string_view body, std::string& wrong) -> KeySource::Keys {
    auto keys = std::make_shared<KeySet>();
    wrong = keys->add_jwks(std::string(body));
    return wrong.empty() ? keys : nullptr;
  };
  source_ = std::make_unique<KeySource>(settings, parse, setup);
}

void Jwt::check_algorithms(gw::setup& setup) {
  if (source_) return check_fetched_algorithms(setup);
  if (config_.algorithms.empty()) {
    for (const Algorithm a : {Algorithm::hs256, Algorithm::rs256, Algorithm::es256}) {
      if (keys_.fits(a)) config_.algorithms.push_back(a);
    }
    return;
  }
  if (keys_.empty()) return;  // said already
  bool fits = false;
  for (const Algorithm a : config_.algorithms) {
    if (a == Algorithm::hs256 && !config_.secret) setup.error("algorithms", "HS256 needs `secret`");
    fits = fits || keys_.fits(a);
  }
  if (!fits) setup.error("algorithms", "none of them fits a key");
}

// What a key fits is known when it comes. A secret never comes that way.
void Jwt::check_fetched_algorithms(gw::setup& setup) {
  if (config_.algorithms.empty()) config_.algorithms = {Algorithm::rs256, Algorithm::es256};
  for (const Algorithm a : config_.algorithms)
    if (a == Algorithm::hs256) setup.error("algorithms", "HS256 needs `secret`");
}

gw::verdict Jwt::authenticate(gw::request r) {
  const std::string_view field = r.header(header_);
  // Also when the first is empty: the next hop may take the second one.
  if (field.data() != nullptr && r.header_count(header_) > 1) return refuse(r, {401, "auth.jwt.repeated"});
  const auto credentials = bearer(field);
  if (field.empty() || (bearer_scheme_ && !credentials)) {
    decisions_.absent.add();
    return gw::absent();
  }
  const std::string_view token = credentials ? *credentials : field;
  auto* worker = r.worker<worker_state>();
  if (!source_) return judge(r, token, worker, keys_);
  if (worker == nullptr) return gw::depends(GW_ON_FETCH, "the keys of jwks_uri");
  return judge_fetched(r, token, *worker);
}

gw::verdict Jwt::judge_fetched(gw::request& r, std::string_view token, worker_state& worker) {
  // What was verified with keys that are gone is not believed any more.
  if (source_->renew(worker.fetched)) worker.cache = {};
  if (worker.fetched.keys != nullptr) return judge(r, token, &worker, *worker.fetched.keys);
  if (auto verdict = wait_for_keys(r, worker)) return *verdict;
  return refuse(r, {503, "auth.jwt.keys"});
}

// Nothing: there is no point in waiting (any more).
std::optional<gw::verdict> Jwt::wait_for_keys(gw::request& r, const worker_state& worker) {
  if (std::exchange(r.state<state>().waited, true)) return std::nullopt;
  if (source_->wait(r, worker.fetched) != KeySource::Wait::waiting) return std::nullopt;
  return gw::pause();
}

// There may be other keys now, or there was no answer in time: the same question once more.
gw::verdict Jwt::on_resume(gw::request r, void*) { return authenticate(r); }

gw::verdict Jwt::judge(gw::request& r, std::string_view token, worker_state* worker, const KeySet& keys) {
  Verified* known = worker != nullptr ? worker->cache.find(token) : nullptr;
  if (known != nullptr) return accept(r, *known);
  Verified fresh;
  if (const Failure failure = verify(token, keys, fresh); failure.status != 0) {
    if (source_ && failure.reason == "auth.jwt.key")
      if (auto verdict = wait_for_keys(r, *worker)) return *verdict;
    return refuse(r, failure);
  }
  if (worker == nullptr || token.size() > TokenCache::max_token_bytes) return accept(r, fresh);
  return accept(r, worker->cache.insert(std::move(fresh), r.wall_now()));
}

gw::verdict Jwt::refuse(gw::request& r, Failure failure) {
  decisions_.refused.add();
  return r.refuse(failure.status, failure.reason, failure.status == 403 ? insufficient_ : invalid_);
}

gw::verdict Jwt::accept(gw::request& r, Verified& verified) {
  if (const Failure failure = check_time(verified, r.wall_now()); failure.status != 0)
    return refuse(r, failure);
  decisions_.accepted.add();
  verified.set_attributes(r);
  const gw_consumer* consumer = r.lookup(self_, GW_CREDENTIAL_JWT, verified.consumer);
  if (consumer != nullptr) return r.accept(consumer);
  return r.identify(self_, verified.consumer, verified.group_views.data(), verified.group_views.size());
}

Jwt::Failure Jwt::check_time(const Verified& verified, int64_t now_ns) const {
  const int64_t leeway = config_.leeway.count();
  if (verified.expires_ns < INT64_MAX - leeway && now_ns >= verified.expires_ns + leeway) {
    return {401, "auth.jwt.expired"};
  }
  if (verified.not_before_ns > INT64_MIN + leeway && now_ns < verified.not_before_ns - leeway) {
    return {401, "auth.jwt.not_yet"};
  }
  return {};
}

Jwt::Failure Jwt::verify(std::string_view token, const KeySet& keys, Verified& out) const {
  constexpr Failure malformed{401, "auth.jwt.malformed"};
  if (token.size() > max_token_bytes) return malformed;
  std::string text;
  if (const Failure failure = check_signature(token, keys, text); failure.status != 0) return failure;
  const json payload = json::parse(text, nullptr, false);
  if (!payload.is_object()) return malformed;
  if (const Failure failure = check_payload(payload, out); failure.status != 0) return failure;
  flatten_claims(payload, out.claims);
  out.hash = TokenCache::hash_of(token);
  out.token = token;
  return {};
}

Jwt::Failure Jwt::check_signature(std::string_view token, const KeySet& keys, std::string& payload) const {
  constexpr Failure malformed{401, "auth.jwt.malformed"};
  auto parts = split_token(token);
  if (!parts) return malformed;
  const json header = json::parse(parts->header, nullptr, false);
  if (!header.is_object() || header.contains("crit"))
    return malformed;  // RFC 7515 4.1.11: we understand none
  const auto alg = header.find("alg");
  if (alg == header.end() || !alg->is_string()) return malformed;
  std::string kid;
  if (const auto it = header.find("kid"); it != header.end()) {
    if (!it->is_string()) return malformed;
    kid = it->get<std::string>();
  }
  const auto algorithm = std::find_if(config_.algorithms.begin(), config_.algorithms.end(), [&](Algorithm a) {
    return gw_names(a)[static_cast<size_t>(a)] == alg->get_ref<const std::string&>();
  });
  if (algorithm == config_.algorithms.end()) return {401, "auth.jwt.algorithm"};
  switch (keys.verify(*algorithm, kid, parts->signing_input, parts->signature)) {
    case KeySet::Outcome::no_key: return {401, "auth.jwt.key"};
    case KeySet::Outcome::invalid: return {401, "auth.jwt.signature"};
    case KeySet::Outcome::valid: break;
  }
  payload = std::move(parts->payload);
  return {};
}

Jwt::Failure Jwt::check_payload(const json& payload, Verified& out) const {
  if (const Failure failure = read_times(payload, out); failure.status != 0) return failure;
  if (!config_.issuer.empty() && (!payload.contains("iss") || !one_of(config_.issuer, payload["iss"]))) {
    return {401, "auth.jwt.issuer"};
  }
  if (!config_.audience.empty()) {
    const auto aud = payload.find("aud");
    bool meant = aud != payload.end() && one_of(config_.audience, *aud);
    if (aud != payload.end() && aud->is_array()) {
      meant =
          std::any_of(aud->begin(), aud->end(), [&](const json& a) { return one_of(config_.audience, a); });
    }
    if (!meant) return {401, "auth.jwt.audience"};
  }
  for (const auto& [name, text] : config_.require) {
    const json* claim = find_claim(payload, name);
    if (claim == nullptr || !claim_contains(*claim, text)) return {403, "auth.jwt.claim"};
  }
  return read_identity(payload, out);
}

Jwt::Failure Jwt::read_times(const json& payload, Verified& out) const {
  const auto exp = payload.find("exp"), nbf = payload.find("nbf");
  if (exp == payload.end()) {
    if (config_.require_exp) return {401, "auth.jwt.claim"};
  } else {
    if (!exp->is_number()) return {401, "auth.jwt.malformed"};
    out.expires_ns = nanoseconds(exp->get<double>());
  }
  if (nbf != payload.end()) {
    if (!nbf->is_number()) return {401, "auth.jwt.malformed"};
    out.not_before_ns = nanoseconds(nbf->get<double>());
  }
  return {};
}

Jwt::Failure Jwt::read_identity(const json& payload, Verified& out) const {
  constexpr size_t max_groups = 64;
  constexpr size_t max_consumer_bytes = 1024;  // what gw.consumer set_identity takes
  const json* name = find_claim(payload, config_.consumer_claim);
  if (name == nullptr || name->is_structured()) return {401, "auth.jwt.claim"};
  out.consumer = claim_text(*name);
  if (out.consumer.empty() || out.consumer.size() > max_consumer_bytes || !plain_text(out.consumer))
    return {401, "auth.jwt.claim"};
  if (!config_.groups_claim) return {};
  const json* groups = find_claim(payload, *config_.groups_claim);
  if (groups == nullptr) return {};
  const auto add = [&](std::string group) {
    if (!group.empty() && plain_text(group) && out.groups.size() < max_groups)
      out.groups.push_back(std::move(group));
  };
  if (groups->is_array()) {
    for (const json& group : *groups) {
      if (group.is_string()) add(group.get<std::string>());
    }
  } else if (groups->is_string()) {
    std::string_view rest = groups->get_ref<const std::string&>();
    while (!rest.empty()) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      add(std::string(word));
      rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : word.size());
    }
  }
  for (const std::string& group : out.groups) out.group_views.push_back(gw::str(group));
  return {};
}

}  // namespace auth
