// One configured plugin instance as the proxy's Filter: calls the hooks through the C tables, judges what
// they return and keeps every failure inside. Made on the main thread, immutable, shared by all workers,
// destroyed on the main thread after the last request that knew it. Whatever a plugin does wrong becomes
// Action::error or AuthVerdict::error, never an accept.
#pragma once
#include <memory>

#include "plugin/handles.h"
#include "plugin/hook_counts.h"
#include "plugin/host.h"
#include "proxy/filter.h"

namespace penstock::plugin {

class Instance final : public proxy::Filter {
 public:
  // Null: the diagnostics say why.
  static std::unique_ptr<Instance> make(Host& host, const TypeSet::Type& type, const InstanceSpec& spec,
                                        TargetSink& targets, config::Diagnostics& diagnostics);
  ~Instance() override;

  void started() const override { host_.events().start(handle_); }
  std::string status() const override;
  bool worker_start(uint32_t worker, net::Loop& loop, void** state) const override;
  void worker_stop(uint32_t worker, void* state) const override;
  proxy::AuthVerdict authenticate(const proxy::FilterCall& call) const override;
  proxy::Action on_request_headers(const proxy::FilterCall& call) const override;
  proxy::Action on_resume(const proxy::FilterCall& call, void* data) const override;
  proxy::AuthVerdict authenticate_resume(const proxy::FilterCall& call, void* data) const override;
  void pause_over(const proxy::FilterCall& call) const override;
  proxy::Action on_response_headers(const proxy::FilterCall& call) const override;
  proxy::Action on_body(proxy::Way way, const proxy::FilterCall& call, std::string_view chunk,
                        bool end) const override;
  proxy::Action on_body_resume(const proxy::FilterCall& call, void* data) const override;
  proxy::Action on_trailers(proxy::Way way, const proxy::FilterCall& call) const override;
  proxy::Action on_upgrade(const proxy::FilterCall& call) const override;
  void on_complete(const proxy::FilterCall& call, const proxy::Summary& summary) const override;
  void on_attempt(const proxy::FilterCall& call, const proxy::AttemptReport& attempt) const override;
  proxy::Explanation explain(const proxy::FilterCall& call) const override;
  std::string_view challenge() const override { return handle_.challenge; }
  const std::vector<std::string>& credential_headers() const override { return handle_.credential_headers; }
  const std::vector<std::string>& credential_query() const override { return handle_.credential_query; }
  const std::vector<std::string>& credential_cookies() const override { return handle_.credential_cookies; }

 private:
  Instance(Host& host, const TypeSet::Type& type, const InstanceSpec& spec);
  bool configure(const InstanceSpec& spec, TargetSink& targets, config::Diagnostics& diagnostics);
  gw_call call_of(gw_req& frame, const proxy::FilterCall& call) const {
    return {&frame, inst_, call.worker_state, call.context};
  }
  template <class Call>
  gw_action guarded(CodeKind hook, gw_req& frame, Call call) const;
  template <class Call>
  void contained(CodeKind what, Call call) const;
  proxy::AuthVerdict auth_verdict(gw_req& frame, gw_action action, CodeKind hook) const;
  proxy::Action request_action(gw_req& frame, gw_action action, CodeKind hook) const;
  proxy::Action response_action(gw_req& frame, gw_action action, CodeKind hook) const;
  bool has_hook_for(proxy::Way way, gw_action action) const;
  bool paused(gw_req& frame, gw_action action) const;
  void complain(CodeKind hook, gw_action action, const gw_req& frame) const;
  void report(CodeKind hook, const gw_req& frame, std::string_view what) const;
  const PluginCode& code(CodeKind kind) const { return handle_.code(kind); }
  void name_codes();

  const gw_plugin& plugin_;
  Host& host_;
  std::unique_ptr<gw_instance> own_;  // until the filter goes
  gw_instance& handle_;
  void* inst_ = nullptr;  // handle_.inst, one step nearer
};

}  // namespace penstock::plugin
