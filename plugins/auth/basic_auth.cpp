#include "basic_auth.h"

#include <openssl/crypto.h>

namespace auth {
namespace {

// A text that leaves nothing behind.
struct Wiped {
  explicit Wiped(std::string_view from) : text(from) {}
  ~Wiped() { OPENSSL_cleanse(text.data(), text.size()); }
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  std::string text;
};

// On the host's pool; the accounts live as long as the instance, which waits for it.
struct Check {
  const Accounts* accounts;
  std::string user;
  std::unique_ptr<Wiped> password;
  KeyedDigest::Value digest;  // under the worker's key
  std::optional<uint32_t> account{};
  void run() { account = accounts->check(user, password->text); }
};

}  // namespace

Basic::Basic(config c, gw::setup& setup) : self_(setup.self()), field_("authorization"), decisions_(setup) {
  HashLimits limits;
  limits.bcrypt_cost = c.bcrypt_cost;
  limits.argon2_memory_kib = static_cast<uint32_t>(c.argon2_memory.count / 1024);
  setup.carrier(GW_CARRIER_HEADER, "authorization");
  setup.challenge(challenge("Basic", setup.name()) + ", charset=\"UTF-8\"");
  setup.each_secret(GW_CREDENTIAL_BASIC,
                    [&](std::string_view owner, std::string_view name, std::string_view hash) {
                      add_user(owner, name, hash, limits, setup);
                    });
  if (accounts_.empty()) setup.warning("type", "no consumer has credentials for basic: nobody gets in by it");
  if (c.cache.value) {
    cache_entries_ = c.cache_entries;
    cache_ns_ = c.cache.value->count();
  }
}

void Basic::add_user(std::string_view owner, std::string_view name, std::string_view hash,
                     const HashLimits& limits, gw::setup& setup) {
  PasswordHash::Read read = PasswordHash::read(hash, limits);
  if (!read.hash) {
    setup.error("the password of consumer '" + std::string(owner) + "': " + read.problem);
    return;
  }
  accounts_.add(std::string(name), std::move(*read.hash));  // the configuration has each name once
  owners_.emplace_back(owner);
}

gw::verdict Basic::refuse(gw::request& r, uint16_t status, std::string_view reason) const {
  decisions_.refused.add();
  return r.refuse(status, reason);
}

gw::verdict Basic::decide(gw::request& r, std::optional<uint32_t> account) const {
  if (!account) return refuse(r, 401, "auth.basic.unknown");  // whichever of the two was wrong
  decisions_.accepted.add();
  return gw::accept(owners_[*account]);
}

gw::verdict Basic::authenticate(gw::request r) {
  if (r.header_count(field_) > 1) return refuse(r, 401, "auth.basic.repeated");
  BasicCredentials given;
  switch (given.read(r.header(field_))) {
    case BasicCredentials::Field::absent: decisions_.absent.add(); return gw::absent();
    case BasicCredentials::Field::malformed: return refuse(r, 401, "auth.basic.malformed");
    case BasicCredentials::Field::given: break;
  }
  PasswordCache& seen = r.worker<worker_state>()->seen;
  const auto digest = seen.digest(given.user(), given.password());
  if (const auto account = seen.find(digest, r.monotonic_now())) return decide(r, account);
  Check check{&accounts_, std::string(given.user()), std::make_unique<Wiped>(given.password()), digest};
  return r.offload(std::move(check)) ? gw::pause() : refuse(r, 503, "auth.basic.busy");
}

gw::verdict Basic::on_resume(gw::request r, void* data) {
  const Check done = gw::offloaded<Check>(data);
  if (done.account) r.worker<worker_state>()->seen.insert(done.digest, *done.account, r.monotonic_now());
  return decide(r, done.account);
}

gw::verdict Basic::explain(gw::request r) {
  if (r.header_count(field_) > 1) return refuse(r, 401, "auth.basic.repeated");
  BasicCredentials given;
  switch (given.read(r.header(field_))) {
    case BasicCredentials::Field::absent: return gw::absent();
    case BasicCredentials::Field::malformed: return refuse(r, 401, "auth.basic.malformed");
    case BasicCredentials::Field::given: break;
  }
  return gw::depends(GW_ON_UNKNOWN, "the password, which is not hashed here");
}

}  // namespace auth
