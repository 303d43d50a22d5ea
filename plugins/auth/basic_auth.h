// HTTP Basic (RFC 7617): users of the consumers, whose passwords the configuration knows by slow hashes. A
// hash is never computed on a worker: the host's pool does it while the request waits, and each worker
// remembers for a while what it has seen pass.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "basic.h"
#include "decisions.h"
#include "penstock_plugin.hpp"

namespace auth {

class Basic {
 public:
  static constexpr std::string_view type = "basic", version = "1.0.0";

  struct config {
    gw::or_none<gw::duration> cache{std::chrono::minutes(1)};
    uint32_t cache_entries = 1024;
    uint32_t bcrypt_cost = HashLimits{}.bcrypt_cost;
    gw::bytes argon2_memory{uint64_t{HashLimits{}.argon2_memory_kib} * 1024};
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("cache", &config::cache, "So long a worker remembers a password that was right"),
        gw::opt("cache_entries", &config::cache_entries, "Passwords that a worker remembers")
            .range(1, 1'000'000),
        gw::opt("bcrypt_cost", &config::bcrypt_cost, "A hash that asks for more is an error").range(4, 20),
        gw::opt("argon2_memory", &config::argon2_memory, "A hash that asks for more is an error")};
  }

  Basic(config c, gw::setup& setup);
  gw::verdict authenticate(gw::request r);
  gw::verdict on_resume(gw::request r, void* data);
  gw::verdict explain(gw::request r);

  struct worker_state {
    explicit worker_state(const Basic& of) : seen(of.cache_entries_, of.cache_ns_) {}
    PasswordCache seen;
  };

 private:
  void add_user(std::string_view owner, std::string_view name, std::string_view hash,
                const HashLimits& limits, gw::setup& setup);
  gw::verdict decide(gw::request& r, std::optional<uint32_t> account) const;
  gw::verdict refuse(gw::request& r, uint16_t status, std::string_view reason) const;

  gw::instance self_;
  gw::header field_;
  Accounts accounts_;
  std::vector<std::string> owners_;  // consumers, by account
  size_t cache_entries_ = 0;
  int64_t cache_ns_ = 0;
  Decisions decisions_;
};

}  // namespace auth
