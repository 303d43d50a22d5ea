#include "admin/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "admin/describe.h"
#include "admin/offline_transport.h"
#include "admin/question.h"
#include "base/reason.h"
#include "net/loop.h"
#include "proxy/client_facts.h"
#include "proxy/decision.h"

namespace penstock::admin {
namespace {

using Verdict = Explained::Verdict;

// Takes the one stream of an offline connection, decides, and writes down what the decision says.
class Explainer final : private http::DownstreamOwner,
                        private http::StreamHandler,
                        private proxy::DecisionObserver {
 public:
  Explainer(std::shared_ptr<const proxy::Snapshot> snapshot, proxy::Names& names,
            const proxy::ListenerInfo& listener, Explained& out)
      : snapshot_(std::move(snapshot)), names_(names), listener_(listener), out_(out) {}

  void run(std::string_view bytes, const net::Address& client, std::string_view host) {
    std::optional<net::TlsInfo> tls;
    if (listener_.tls) tls = net::TlsInfo{"TLSv1.3", {}, "http/1.1", host};
    auto transport = std::make_unique<OfflineTransport>(client, listener_.address, tls);
    OfflineTransport& wire = *transport;
    auto connection = http::make_http1_downstream(loop_, std::move(transport), listener_.http, *this);
    wire.feed(bytes);
    if (!closed_) connection->close();
  }
  bool answered() const { return answered_; }

 private:
  // http::DownstreamOwner
  http::StreamHandler& on_stream(http::Stream& stream, http::DownstreamConnection&) override {
    stream_ = &stream;
    return *this;
  }
  void on_closed(http::DownstreamConnection&) override { closed_ = true; }

  // http::StreamHandler
  void on_head(http::Message& head, http::EndStream) override {
    decide(head);
    std::exchange(stream_, nullptr)->reset();
  }
  void on_bad_head(const Error& error, http::Message&) override {
    answered_ = true;
    out_.answer = {status_of(error.reason), std::string(error.reason)};
    out_.detail = error.text;
    std::exchange(stream_, nullptr)->reset();
  }
  void on_informational(http::Message&) override {}
  void on_data(std::string_view) override {}
  void on_trailers(http::Headers&) override {}
  void on_end() override {}
  void on_turn_end() override {}
  void on_drained() override {}
  void on_reset(const Error&) override { stream_ = nullptr; }

  void decide(http::Message& head);
  void list_plugins(const proxy::Route& route);
  void conclude(const proxy::RequestContext& request, const proxy::Decision& decision,
                proxy::Decision::Step step);
  void consider_routes(proxy::RequestContext& request);
  void describe_upstream(const proxy::RequestContext& request, const proxy::Grant& grant);

  // proxy::DecisionObserver
  void verdict(const proxy::Filter& filter, const proxy::Explanation& explanation) override;
  void auth_result(const proxy::AuthPolicy& policy, uint16_t status, std::string_view reason) override;
  Explained::Plugin* next_plugin();

  std::shared_ptr<const proxy::Snapshot> snapshot_;
  proxy::Names& names_;
  const proxy::ListenerInfo& listener_;
  Explained& out_;
  net::Loop loop_;
  http::Stream* stream_ = nullptr;
  proxy::RequestContext* request_ = nullptr;
  size_t position_ = 0;  // into out_.plugins
  std::string authenticators_;
  bool auth_depends_ = false;
  bool answered_ = false, closed_ = false;
};

void Explainer::decide(http::Message& head) {
  answered_ = true;
  proxy::RequestContext request(stream_->arena(), head);
  request_ = &request;
  request.snapshot = snapshot_.get();
  request.names = &names_;
  request.mode = proxy::Mode::explain;
  request.wall_ns = out_.question.wall_ns ? out_.question.wall_ns : loop_.wall_ns();
  request.monotonic_ns = static_cast<int64_t>(loop_.now_ns());
  proxy::Random random(1);
  proxy::fill_client_facts(request, listener_, *stream_, random);
  proxy::Decision decision(request, listener_, this);
  if (!out_.question.consumer.empty()) decision.assume(*snapshot_->consumers.by_name(out_.question.consumer));
  // The plugins to come are known once the route is: a first look at the router says which.
  proxy::Decision::Step step = decision.start();
  conclude(request, decision, step);
  request_ = nullptr;
}

// In the order of the chain; not reached until a verdict says otherwise.
void Explainer::list_plugins(const proxy::Route& route) {
  if (!out_.plugins.empty()) return;
  auto add = [&](const proxy::ChainLink& link) {
    out_.plugins.push_back({link.filter->name(), link.filter->at(), Verdict::not_reached, 0, {}, {}, {}});
  };
  std::ranges::for_each(route.chain.before_auth(), add);
  if (route.chain.auth())
    out_.plugins.push_back({"auth",
                            config::to_text(*snapshot_->config, route.config->auth->at),
                            Verdict::not_reached,
                            0,
                            {},
                            {},
                            {}});
  std::ranges::for_each(route.chain.after_auth(), add);
}

Explained::Plugin* Explainer::next_plugin() {
  list_plugins(*request_->route);
  return position_ < out_.plugins.size() ? &out_.plugins[position_] : nullptr;
}

void Explainer::verdict(const proxy::Filter& filter, const proxy::Explanation& said) {
  using Said = proxy::Explanation::Verdict;
  Explained::Plugin* plugin = next_plugin();
  if (!plugin) return;
  if (request_->phase == proxy::Phase::authenticate) {  // one of several; auth_result() follows
    if (said.verdict == Said::depends) auth_depends_ = true;
    authenticators_ +=
        (authenticators_.empty() ? "" : ", ") + filter.name() + " " + describe_auth(said, *request_);
    return;
  }
  ++position_;
  plugin->detail = said.detail;
  if (said.verdict == Said::depends) {
    plugin->verdict = Verdict::depends;
    plugin->on = name_of(said.on);
  } else if (said.verdict == Said::answer) {
    plugin->verdict = Verdict::answers;
    plugin->status = request_->local.status ? request_->local.status : uint16_t{500};
    plugin->reason = request_->local.status ? request_->local.reason : reason::plugin_error;
  } else {
    plugin->verdict = Verdict::proceeds;
    if (filter.type() == "version" && request_->api_version.data())
      plugin->detail = fmt::format("api.version = {}", request_->api_version);
  }
}

void Explainer::auth_result(const proxy::AuthPolicy& policy, uint16_t status, std::string_view reason) {
  Explained::Plugin* plugin = next_plugin();
  if (!plugin) return;
  ++position_;
  plugin->verdict = status == 0 ? Verdict::proceeds : auth_depends_ ? Verdict::depends : Verdict::answers;
  plugin->status = status;
  plugin->reason = reason;
  if (plugin->verdict == Verdict::depends) plugin->on = "unknown";
  bool any = policy.combine == config::Auth::Combine::any_of;
  plugin->detail = policy.authenticators.size() == 1 ? authenticators_
                   : authenticators_.empty()
                       ? "assumed"
                       : fmt::format("{} {}", any ? "any_of" : "all_of", authenticators_);
}

void Explainer::conclude(const proxy::RequestContext& request, const proxy::Decision& decision,
                         proxy::Decision::Step step) {
  if (request.path.data()) out_.path = request.path;
  if (request.api_version.data()) out_.api_version = request.api_version;
  if (request.consumer_id.data()) out_.consumer = request.consumer_id;
  if (request.route) {
    list_plugins(*request.route);
    out_.route = {request.route->name, request.route->at, describe_match(request.route->config->match)};
  }
  if (listener_.redirect_port == 0 && request.path.data())
    consider_routes(const_cast<proxy::RequestContext&>(request));
  if (step == proxy::Decision::Step::forward) return describe_upstream(request, *decision.grant());
  const proxy::LocalResponse& local = request.local;
  out_.answer = {local.status, std::string(local.reason)};
  out_.detail = local.detail;
  if (local.reason.empty()) {
    out_.target.emplace();
    out_.target->kind = "respond";
    if (request.target) out_.target->at = request.target->at;
    for (const proxy::HeaderEdit* edit = local.headers; edit; edit = edit->next)
      if (edit->name == "location") {
        out_.target->kind = "redirect";
        out_.target->name = edit->value;
      }
  }
}

// Which other routes were looked at, and why they do not take it.
void Explainer::consider_routes(proxy::RequestContext& request) {
  // why_not() fills what find() would: the decision's own answer is kept.
  const proxy::Route* route = request.route;
  auto parameters = request.parameters;
  auto matched = request.matched_prefix;
  for (const auto& other : snapshot_->routes) {
    if (other.get() == route) continue;
    proxy::Mismatch why = snapshot_->router->why_not(request, listener_.index, *other);
    out_.considered.push_back(
        {other->name, other->at,
         why == proxy::Mismatch::none ? "matches, but is less specific" : std::string(proxy::name(why))});
  }
  request.route = route;
  request.parameters = parameters;
  request.matched_prefix = matched;
}

void Explainer::describe_upstream(const proxy::RequestContext& request, const proxy::Grant& grant) {
  const upstream::ClusterSettings& cluster = snapshot_->clusters[grant.cluster()];
  out_.target = {"upstream", cluster.name, snapshot_->cluster_positions[grant.cluster()],
                 describe_settings(cluster, *request.route) + describe_check(cluster), protocols_of(cluster)};
  if (grant.target().kind == proxy::Target::Kind::split && !grant.target().split_by) {
    out_.target->kind = "split";
    out_.target->name = describe_split(*snapshot_, grant.target());
    out_.target->at = grant.target().at;
  }
  for (const config::Upstream& upstream : snapshot_->config->upstreams) {
    if (upstream.name != cluster.name) continue;
    for (const config::Endpoint& endpoint : upstream.endpoints)
      out_.endpoints.push_back({endpoint_name(endpoint), "configured"});
    if (upstream.discover)
      out_.endpoints.push_back(
          {fmt::format("{}:{}", upstream.discover->name, upstream.discover->port), "by DNS"});
  }
}

}  // namespace

std::expected<Explained, std::string> explain(std::shared_ptr<const proxy::Snapshot> snapshot,
                                              proxy::Names& names, const Question& question) {
  auto url = parse_url(question.url);
  if (!url) return std::unexpected(url.error());
  auto client = net::Address::from_ip(question.client_ip, 50'000);
  if (!client) return std::unexpected("--client-ip: '" + question.client_ip + "' is no IP address");
  if (!question.consumer.empty() && !snapshot->consumers.by_name(question.consumer))
    return std::unexpected("--as: there is no consumer '" + question.consumer + "'");
  const proxy::ListenerInfo* listener = listener_for(*snapshot, *url);
  if (!listener) return std::unexpected("no listener takes " + url->scheme);
  auto bytes = request_bytes(question, *url);
  if (!bytes) return std::unexpected(bytes.error());

  Explained out;
  out.question = question;
  out.listener = describe_listener(*listener, url->host);
  Explainer explainer(snapshot, names, *listener, out);
  explainer.run(*bytes, *client, url->host);
  if (!explainer.answered()) return std::unexpected("the request is not complete");
  return out;
}

}  // namespace penstock::admin
