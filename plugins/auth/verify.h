// Whether a token is to be believed, and what it says. A pure function of the token, the keys and the rules:
// no clock, no host, nothing kept, so that it may run on any thread while its arguments live. What depends on
// the time (exp, nbf) is read here and judged at each use by judge_now.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "claims.h"
#include "fault.h"
#include "key_set.h"

namespace auth {

struct Rules {
  std::vector<std::string> issuers, audiences;  // empty: any
  std::vector<Algorithm> algorithms;
  std::map<std::string, std::string> require;
  std::vector<std::string> scopes;  // words of `scope` or `scp`, all of them
  bool require_exp = true;
  std::string consumer_claim = "sub";
  std::optional<std::string> groups_claim;
  size_t max_token_bytes = 16384;
};

struct Judged {
  Fault fault = Fault::none;  // as long as keys and rules are the same, always this one
  Verified verified;          // without a fault
};
Judged judge(std::string_view token, const KeySet& keys, const Rules& rules);

// Whether a token that was verified is good now: its times (401), then what it lacks (403).
Fault judge_now(const Verified& verified, int64_t leeway_ns, int64_t now_ns);

}  // namespace auth
