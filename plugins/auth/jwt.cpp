#include "jwt.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

namespace auth {
namespace {

std::optional<std::string> read_file(const std::string& path) {
  constexpr size_t max_bytes = 1 << 20;
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file == nullptr) return std::nullopt;
  std::string out(max_bytes, '\0');
  out.resize(std::fread(out.data(), 1, out.size(), file.get()));
  return std::ferror(file.get()) != 0 ? std::nullopt : std::optional(std::move(out));
}

// scope-token of RFC 6749 A.4: what may stand between the quotes of the challenge.
bool scope_text(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

}  // namespace

Jwt::Jwt(config c, gw::setup& setup)
    : self_(setup.self()),
      carriers_(places(c), Carriers::Form::bearer, setup),
      leeway_ns_(c.leeway.count()),
      cache_size_(c.cache_size),
      decisions_(setup),
      cache_(setup) {
  constexpr uint64_t smallest = 1024, largest = 65536;
  if (c.max_token_size.count < smallest || c.max_token_size.count > largest)
    setup.error("max_token_size", "must be from 1KiB to 64KiB");
  for (const std::string& scope : c.scopes) {
    if (!scope_text(scope))
      setup.error("scopes", "'" + scope + "' is no scope: one word without quotes and backslashes");
  }
  load_keys(c, setup);
  rules_.algorithms = c.algorithms;
  check_algorithms(c, setup);
  make_challenges(c, setup);
  rules_.issuers = std::move(c.issuer);
  rules_.audiences = std::move(c.audience);
  rules_.require = std::move(c.require);
  rules_.scopes = std::move(c.scopes);
  rules_.require_exp = c.require_exp;
  rules_.consumer_claim = std::move(c.consumer_claim);
  rules_.groups_claim = std::move(c.groups_claim);
  rules_.max_token_bytes = c.max_token_size.count;
}

Carriers::Names Jwt::places(const config& c) {
  if (!c.header && !c.query && !c.cookie) return {"authorization", std::nullopt, std::nullopt};
  return {c.header, c.query, c.cookie};
}

void Jwt::load_keys(const config& c, gw::setup& setup) {
  const int sources = int{c.jwks_file.has_value()} + int{c.public_key_file.has_value()} +
                      int{c.secret.has_value()} + int{c.jwks_uri.has_value()};
  if (sources != 1) {
    setup.error("needs exactly one of jwks_file, jwks_uri, public_key_file, secret");
    return;
  }
  if (c.jwks_uri) make_source(c, setup);
  if (c.jwks_file) load_jwks(c, setup);
  if (c.public_key_file) {
    const auto text = read_file(c.public_key_file->text);
    const std::string wrong = text ? keys_.add_public_key(*text) : "cannot be read";
    if (!wrong.empty()) setup.error("public_key_file", c.public_key_file->text + " " + wrong);
  }
  if (c.secret) {
    const std::string wrong = keys_.add_secret(c.secret->reveal());
    if (!wrong.empty()) setup.error("secret", wrong);
  }
}

// A file of the operator's own: every broken key in it is an error.
void Jwt::load_jwks(const config& c, gw::setup& setup) {
  const std::string& path = c.jwks_file->text;
  const auto text = read_file(path);
  std::vector<std::string> problems;
  const std::string wrong =
      text ? keys_.add_jwks(*text, Secrets::taken, c.max_keys, problems) : "cannot be read";
  if (!wrong.empty()) setup.error("jwks_file", path + " " + wrong);
  for (const std::string& problem : problems) setup.error("jwks_file", path + ": " + problem);
}

// Somebody else's keys: broken ones are passed over while there are others, and secrets never come that way.
void Jwt::make_source(const config& c, gw::setup& setup) {
  const gw_config_v0& read = *gw::detail::host.config;
  const gw_node* node = read.get(setup.node(), gw::str("jwks_uri"));
  if (read.kind(node) == GW_NODE_MAP) node = read.get(node, gw::str("url"));
  gw_str url{};
  read.get_string(node, &url);
  const KeySource::settings settings{*c.jwks_uri,    std::string(gw::view(url)),
                                     c.jwks_refresh, c.jwks_min_interval,
                                     c.jwks_timeout, c.jwks_wait,
                                     c.jwks_waiters};
  const auto parse = [most = c.max_keys](std::string_view body, std::string& wrong) -> KeySource::Keys {
    auto keys = std::make_shared<KeySet>();
    std::vector<std::string> problems;
    wrong = keys->add_jwks(body, Secrets::passed_over, most, problems);
    if (wrong.empty() && keys->empty()) wrong = "has no usable key: " + problems.front();
    return wrong.empty() ? keys : nullptr;
  };
  source_ = std::make_unique<KeySource>(settings, parse, setup);
}

void Jwt::check_algorithms(const config& c, gw::setup& setup) {
  if (source_) return check_fetched_algorithms(c, setup);
  if (keys_.empty()) return;  // said already
  if (c.algorithms.empty()) {
    for (size_t i = 0; i < algorithm_count; ++i) {
      if (keys_.fits(static_cast<Algorithm>(i))) rules_.algorithms.push_back(static_cast<Algorithm>(i));
    }
    return;
  }
  bool fits = false;
  for (const Algorithm a : c.algorithms) {
    const std::string name(name_of(a));
    if (scheme_of(a).family == Family::hmac && !keys_.fits(a))
      setup.error("algorithms", c.secret ? name + " needs a longer `secret`: " +
                                               std::to_string(scheme_of(a).hash_bytes) + " bytes"
                                         : name + " needs `secret`");
    fits = fits || keys_.fits(a);
  }
  if (!fits) setup.error("algorithms", "none of them fits a key");
}

// What a key fits is known when it comes, and a secret never comes that way.
void Jwt::check_fetched_algorithms(const config& c, gw::setup& setup) {
  const auto secret = [](Algorithm a) { return scheme_of(a).family == Family::hmac; };
  for (const Algorithm a : c.algorithms)
    if (secret(a)) setup.error("algorithms", std::string(name_of(a)) + " needs `secret`");
  if (!c.algorithms.empty()) return;
  for (size_t i = 0; i < algorithm_count; ++i)
    if (!secret(static_cast<Algorithm>(i))) rules_.algorithms.push_back(static_cast<Algorithm>(i));
}

// RFC 6750 3: no error where no token was, and the scopes where one was not enough.
void Jwt::make_challenges(const config& c, gw::setup& setup) {
  const std::string plain = challenge("Bearer", setup.name());
  std::vector<std::string> scopes = c.scopes;
  if (const auto scope = c.require.find("scope"); scope != c.require.end() && scope_text(scope->second))
    scopes.push_back(scope->second);
  for (size_t i = 1; i < fault_count; ++i) {
    const FaultText& fault = text_of(static_cast<Fault>(i));
    if (fault.status == 503) continue;  // says nothing of the token
    const std::string_view error = fault.status == 403 ? "insufficient_scope" : "invalid_token";
    challenges_[i] = plain + ", error=" + quoted(error) + ", error_description=" + quoted(fault.description);
    if (fault.status == 403 && !scopes.empty()) challenges_[i] += ", scope=" + quoted(joined(scopes));
  }
  setup.challenge(plain);
}

gw::verdict Jwt::authenticate(gw::request r) {
  const Found token = carriers_.read(r);
  if (token.count == 1) return judge_token(r, token.value);
  if (token.count > 1) return refuse(r, Fault::repeated);
  decisions_.absent.add();
  return gw::absent();
}

// There may be other keys now, or there was no answer in time: the same question once more.
gw::verdict Jwt::on_resume(gw::request r, void*) { return authenticate(r); }

gw::verdict Jwt::judge_token(gw::request& r, std::string_view token) {
  auto* worker = r.worker<worker_state>();
  const KeySet& keys = keys_of(worker);
  if (worker == nullptr || token.size() > rules_.max_token_bytes) return judge_fresh(r, token, keys, worker);
  if (Verified* known = worker->verified.find(token)) {
    cache_.hit.add();
    return accept(r, *known);
  }
  const Fault fault = worker->refused.find(token);
  return fault != Fault::none ? refuse(r, fault) : judge_fresh(r, token, keys, worker);
}

// Of jwks_uri those that this worker has seen; before the first there are none, which is enough to refuse
// what is no token, or somebody else's.
const KeySet& Jwt::keys_of(worker_state* worker) {
  if (!source_ || worker == nullptr) return keys_;
  if (source_->renew(worker->fetched)) {
    // What was judged with keys that are gone is judged anew.
    worker->verified.clear();
    worker->refused.clear();
  }
  return worker->fetched.keys != nullptr ? *worker->fetched.keys : keys_;
}

// `worker` null: nothing is remembered.
gw::verdict Jwt::judge_fresh(gw::request& r, std::string_view token, const KeySet& keys,
                             worker_state* worker) {
  Judged judged = judge(token, keys, rules_);
  if (judged.fault == Fault::key && source_) return unknown_key(r, worker);
  if (judged.fault != Fault::none) {
    if (worker != nullptr) worker->refused.insert(token, judged.fault);
    return refuse(r, judged.fault);
  }
  if (worker == nullptr) return accept(r, judged.verified);
  cache_.miss.add();
  if (!worker->verified.takes(token)) return accept(r, judged.verified);
  const auto inserted = worker->verified.insert(std::move(judged.verified), r.wall_now());
  if (inserted.evicted) cache_.evicted.add();
  return accept(r, inserted.entry);
}

// The provider may have that key by now, so this refusal is not remembered.
gw::verdict Jwt::unknown_key(gw::request& r, worker_state* worker) {
  if (worker == nullptr) return gw::depends(GW_ON_FETCH, "the keys of jwks_uri");
  const bool waited = std::exchange(r.state<state>().waited, true);
  if (!waited && source_->wait(r, worker->fetched) == KeySource::Wait::waiting) return gw::pause();
  return refuse(r, worker->fetched.keys != nullptr ? Fault::key : Fault::no_keys);
}

gw::verdict Jwt::refuse(gw::request& r, Fault fault) {
  decisions_.refused.add();
  const FaultText& text = text_of(fault);
  return r.refuse(text.status, text.reason, challenges_[static_cast<size_t>(fault)]);
}

gw::verdict Jwt::accept(gw::request& r, Verified& verified) {
  if (const Fault fault = judge_now(verified, leeway_ns_, r.wall_now()); fault != Fault::none)
    return refuse(r, fault);
  decisions_.accepted.add();
  verified.set_attributes(r);
  const gw_consumer* consumer = r.lookup(self_, GW_CREDENTIAL_JWT, verified.consumer);
  if (consumer != nullptr) return r.accept(consumer);
  return r.identify(self_, verified.consumer, verified.group_views.data(), verified.group_views.size());
}

}  // namespace auth
