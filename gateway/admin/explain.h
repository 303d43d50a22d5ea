// `penstock explain`: what would happen to a request, found out by running the proxy's own decision over a
// snapshot in Mode::explain, in which nothing is counted, stored or sent. The request goes through the real
// HTTP/1 parser of the listener that it would come by, so the answer cannot differ from the live one. Pure
// but for the clock; main thread. Knows nothing of the running process.
#pragma once
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/attribute.h"
#include "proxy/snapshot.h"

namespace penstock::admin {

struct Question {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string client_ip = "127.0.0.1";
  std::string consumer;  // empty: nobody is assumed
  int64_t wall_ns = 0;   // 0: now
};

struct Explained {
  struct Listener {
    std::string name, at, scheme;
    uint16_t port = 0;
    std::string certificate;  // names that it covers; empty: plain
    int64_t certificate_days = 0;
    std::vector<std::string_view> protocols;  // that its clients may speak, the preferred one first
  };
  struct Considered {
    std::string name, at, why_not;
  };
  struct Route {
    std::string name, at, conditions;
  };
  enum class Verdict : uint8_t { proceeds, answers, depends, not_reached };
  struct Plugin {
    std::string name, at;
    Verdict verdict = Verdict::proceeds;
    uint16_t status = 0;
    std::string reason, on, detail;
  };
  struct Target {
    std::string kind;  // "upstream", "redirect", "respond"
    std::string name;  // of the upstream; of a redirect the location
    std::string at, settings;
    std::vector<std::string_view> protocols;  // that its backends are spoken to in, or choose from
  };
  struct Endpoint {
    std::string address, state;
  };
  struct Answer {
    uint16_t status = 0;
    std::string reason;  // empty: answered by the route itself
  };

  Question question;
  Listener listener;
  std::string path;  // canonical; empty: refused before
  std::optional<Route> route;
  std::vector<Considered> considered;  // routes that do not take it
  std::vector<Plugin> plugins;
  std::optional<Target> target;
  std::vector<Endpoint> endpoints;
  std::optional<Answer> answer;
  std::string detail;  // of a refusal, for a human
  std::string api_version, consumer;

  // Forwarded, or answered by the route itself.
  bool granted() const { return !answer || answer->reason.empty(); }
};

// Or what is wrong with the question, in one sentence.
std::expected<Explained, std::string> explain(std::shared_ptr<const proxy::Snapshot> snapshot,
                                              proxy::Names& names, const Question& question);

std::string to_human(const Explained& explained);
std::string to_json(const Explained& explained);

// "continue", "answer", "depends", "not reached"
std::string_view name(Explained::Verdict verdict);

}  // namespace penstock::admin
