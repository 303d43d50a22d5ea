// The decision about one request: canonical path, route, version, plugins' verdicts, target. A function of
// snapshot, request, clock and what plugins answer, without I/O of its own: the exchange runs it live,
// explain runs the same code in Mode::explain. It may pause where a plugin does. Only a decision that ran its
// route's chain to the end without a refusal holds a Grant, and without a Grant no upstream can be opened.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/request_context.h"
#include "proxy/snapshot.h"

namespace penstock::proxy {

// Proof that the chain of this request's route has granted it (or that the route is public). Only Decision
// makes one.
class Grant {
 public:
  const Target& target() const { return *target_; }
  uint32_t cluster() const { return cluster_; }

 private:
  friend class Decision;
  Grant(const Target& target, uint32_t cluster) : target_(&target), cluster_(cluster) {}
  const Target* target_;
  uint32_t cluster_;
};

// Told of each plugin's verdict, in order; used by explain.
class DecisionObserver {
 public:
  virtual void verdict(const Filter& filter, const Explanation& explanation) = 0;
  virtual void auth_result(const AuthPolicy& policy, uint16_t status, std::string_view reason) = 0;

 protected:
  ~DecisionObserver() = default;
};

class Decision {
 public:
  enum class Step : uint8_t {
    forward,  // grant() is there
    respond,  // request.local holds the answer
    paused,   // resume() goes on
    held,     // a plugin wants to see the body first: release() goes on
  };
  Decision(RequestContext& request, const ListenerInfo& listener, DecisionObserver* observer = nullptr)
      : request_(request), listener_(listener), observer_(observer) {}

  Step start();
  Step resume(void* data);
  // What the body's hooks had to say about the head is said.
  Step release();
  const Grant* grant() const { return grant_ ? &*grant_ : nullptr; }
  // The route's chain, or the base chain while no route is known.
  const Chain& chain() const;
  // explain: an authenticator's verdict depends on what explain cannot know.
  bool depends() const { return unknown_; }
  // For explain --as: the authenticators are not asked, this consumer is taken as accepted.
  void assume(const Consumer& consumer) { assumed_ = &consumer; }
  // The instance that paused; null when not paused.
  const Filter* paused_in() const { return paused_ ? paused_->filter : nullptr; }
  Step fail_paused();  // the pause took too long: an error of that plugin

 private:
  enum class Stage : uint8_t { before_auth, auth, after_auth, done };
  Step route();
  Step walk();
  Step run_links(const std::vector<ChainLink>& links, Stage next);
  std::optional<Step> take(const ChainLink& link, Action action);
  Step authenticate();
  std::optional<Step> take_auth(const ChainLink& link, AuthVerdict verdict);
  Step go_on_with_auth(const ChainLink& link, AuthVerdict verdict);
  Step finish_auth();
  Step refuse_auth(uint16_t status, std::string_view reason, std::string_view plugin);
  Step plugin_failed(const Filter& filter);
  Step end_chain();
  Step choose_target();
  bool refuses_length();
  std::optional<Step> judge_forwarding();
  AuthVerdict ask(const ChainLink& link);
  Action run_request_hook(const ChainLink& link);

  RequestContext& request_;
  const ListenerInfo& listener_;
  DecisionObserver* observer_;
  const Consumer* assumed_ = nullptr;
  Stage stage_ = Stage::before_auth;
  size_t position_ = 0;
  const ChainLink* paused_ = nullptr;
  RequestContext::SetAttribute* attribute_mark_ = nullptr;
  bool accepted_ = false;
  bool absent_ = false;   // all_of: one found no credential
  bool unknown_ = false;  // explain: an authenticator's answer depends on what explain cannot know
  uint16_t refused_status_ = 0;
  std::string_view refused_reason_, refused_plugin_, refused_challenge_, absent_plugin_;
  std::optional<Grant> grant_;
};

// What a request's body may have: the route's limit, else the listener's.
uint64_t body_limit(const RequestContext& request, const ListenerInfo& listener);

// Fills request.local as problem+json.
void refuse(RequestContext& request, uint16_t status, std::string_view reason, std::string_view detail = {});
void add_local_header(RequestContext& request, std::string_view name, std::string_view value);

// Which side of a split this request takes (LANGUAGE.md "split"); `random` in [0,1) is used without split_by.
uint32_t split_side(const Target& target, const RequestContext& request, double random);

}  // namespace penstock::proxy
