// The auth stage of a decision: how the verdicts of several authenticators become one (LANGUAGE.md "auth").
// Every way out of this file but an accept (or an absent credential under optional) is a refusal.
#include "base/reason.h"
#include "proxy/decision.h"

namespace penstock::proxy {

Decision::Step Decision::authenticate() {
  const AuthPolicy& policy = *request_.route->chain.auth();
  if (assumed_) {
    request_.consumer = assumed_;
    request_.consumer_id = assumed_->name;
    accepted_ = true;
    return finish_auth();
  }
  request_.phase = Phase::authenticate;
  for (; position_ < policy.authenticators.size(); ++position_) {
    const ChainLink& link = policy.authenticators[position_];
    attribute_mark_ = request_.attributes;
    request_.auth = {};
    request_.auth_edits = nullptr;
    if (auto step = take_auth(link, ask(link))) return *step;
  }
  return finish_auth();
}

AuthVerdict Decision::ask(const ChainLink& link) {
  FilterCall call = call_of(link, request_);
  if (request_.mode == Mode::live) return link.filter->authenticate(call);
  Explanation said;
  if (link.filter->has(Filter::explain_hook)) said = link.filter->explain(call);
  if (observer_) observer_->verdict(*link.filter, said);
  using Verdict = Explanation::Verdict;
  if (said.verdict == Verdict::depends) unknown_ = true;
  if (said.verdict == Verdict::accept) return AuthVerdict::accept;
  return said.verdict == Verdict::absent ? AuthVerdict::absent : AuthVerdict::refuse;
}

// nullopt: ask the next one. Authenticators that did not accept leave nothing behind.
std::optional<Decision::Step> Decision::take_auth(const ChainLink& link, AuthVerdict verdict) {
  const AuthPolicy& policy = *request_.route->chain.auth();
  const Filter& filter = *link.filter;
  AuthRecord said = request_.auth;
  if (verdict == AuthVerdict::pause && request_.resumable) {
    paused_ = &link;
    return Step::paused;
  }
  if (verdict == AuthVerdict::accept && !said.consumer && said.identity.empty()) verdict = AuthVerdict::error;
  if (verdict != AuthVerdict::accept) {
    request_.attributes = attribute_mark_;
    request_.auth_edits = nullptr;
  }
  switch (verdict) {
    case AuthVerdict::accept:
      for (HeaderEdit* edit = request_.auth_edits; edit; edit = edit->next) {
        http::Headers& headers = request_.request.headers;
        if (edit->op == HeaderEdit::Op::set) headers.set(edit->name, edit->value);
        if (edit->op == HeaderEdit::Op::add) headers.add(edit->name, edit->value);
        if (edit->op == HeaderEdit::Op::remove) headers.remove(edit->name);
      }
      request_.auth_edits = nullptr;
      if (filter.has(Filter::upgrade_hook) || filter.hooks() & Filter::body_hooks)
        request_.mark(filter, FilterMark::Kind::accepted);
      if (said.hold_head && filter.has(Filter::request_body_hook)) request_.request_held = true;
      if (!accepted_) {  // all_of: the first names the consumer
        request_.consumer = said.consumer;
        request_.consumer_id = said.consumer ? std::string_view(said.consumer->name) : said.identity;
        request_.identity_groups = said.groups;
      }
      accepted_ = true;
      if (policy.combine == config::Auth::Combine::any_of) return finish_auth();
      return std::nullopt;
    case AuthVerdict::absent:
      if (policy.combine == config::Auth::Combine::any_of) return std::nullopt;
      // all_of with nothing accepted so far may still be an anonymous request under optional: judged at the
      // end.
      absent_ = true;
      if (refused_plugin_.empty()) absent_plugin_ = filter.name();
      return std::nullopt;
    case AuthVerdict::refuse:
    case AuthVerdict::error:
    case AuthVerdict::pause:
      if (refused_status_ == 0) {
        bool recorded = verdict == AuthVerdict::refuse && said.refuse_status != 0;
        refused_status_ = recorded ? said.refuse_status : uint16_t{401};
        refused_reason_ = recorded                         ? said.refuse_reason
                          : verdict == AuthVerdict::refuse ? std::string_view("auth.refused")
                                                           : reason::plugin_error;
        refused_plugin_ = filter.name();
        refused_challenge_ = recorded ? said.challenge : std::string_view{};
      }
      if (policy.combine == config::Auth::Combine::all_of)
        return refuse_auth(refused_status_, refused_reason_, refused_plugin_);
      return std::nullopt;
  }
  return refuse_auth(401, reason::plugin_error, filter.name());
}

// All were asked, or one accept was enough.
Decision::Step Decision::finish_auth() {
  const AuthPolicy& policy = *request_.route->chain.auth();
  if (policy.combine == config::Auth::Combine::any_of && accepted_) refused_status_ = 0;
  if (refused_status_ != 0) return refuse_auth(refused_status_, refused_reason_, refused_plugin_);
  if (accepted_ && absent_) return refuse_auth(401, reason::auth_missing, absent_plugin_);
  if (!accepted_) {
    if (!policy.optional) return refuse_auth(401, reason::auth_missing, {});
  } else if (policy.deny.covers(request_) || (!policy.allow.empty() && !policy.allow.covers(request_))) {
    return refuse_auth(403, reason::auth_forbidden, {});
  }
  stage_ = Stage::after_auth;
  position_ = 0;
  if (observer_) observer_->auth_result(policy, 0, {});
  return Step::forward;
}

Decision::Step Decision::refuse_auth(uint16_t status, std::string_view reason, std::string_view plugin) {
  const AuthPolicy& policy = *request_.route->chain.auth();
  request_.consumer = nullptr;
  if (status != 403) {
    request_.consumer_id = {};
    request_.identity_groups = {};
  }
  refuse(request_, status, reason);
  request_.local.plugin = request_.plugin = plugin;
  if (status == 401) {
    // Added newest first, so walked backwards: the answer lists them in the order written (RFC 9110 11.6.1).
    for (size_t i = policy.authenticators.size(); i-- > 0;) {
      const Filter& filter = *policy.authenticators[i].filter;
      std::string_view challenge = filter.name() == refused_plugin_ && !refused_challenge_.empty()
                                       ? refused_challenge_
                                       : filter.challenge();
      if (!challenge.empty()) add_local_header(request_, "www-authenticate", challenge);
    }
  } else if (status == 403 && !plugin.empty() && !refused_challenge_.empty()) {
    // What the credential lacks (RFC 6750 3.1). A refusal by allow or deny has no plugin and says nothing.
    add_local_header(request_, "www-authenticate", refused_challenge_);
  }
  if (observer_) observer_->auth_result(policy, status, reason);
  return Step::respond;
}

}  // namespace penstock::proxy
