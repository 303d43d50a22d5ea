// What /metrics shows: the workers' shares added up, the plugins' series and facts of the process.
#include <algorithm>
#include <array>
#include <map>

#include "observe/prometheus.h"
#include "server/endpoint_metrics.h"
#include "server/server.h"

namespace penstock::server {
namespace {

using observe::Label;
using observe::MetricKind;

// Shares arrive one by one; the last one completes the answer.
struct Collection {
  std::vector<std::shared_ptr<const WorkerShare>> shares;
  std::function<void(std::string)> done;
};

MetricKind kind_of(plugin::SeriesKind kind) {
  switch (kind) {
    case plugin::SeriesKind::counter: return MetricKind::counter;
    case plugin::SeriesKind::gauge: return MetricKind::gauge;
    case plugin::SeriesKind::histogram: break;
  }
  return MetricKind::histogram;
}

void write_plugin_metrics(observe::PrometheusText& out, const std::vector<plugin::MetricSample>& samples) {
  std::string_view family;
  for (const plugin::MetricSample& sample : samples) {  // sorted by name
    if (family != sample.name) out.family(family = sample.name, kind_of(sample.kind), sample.help);
    std::vector<Label> labels;
    for (const auto& [name, value] : sample.labels) labels.push_back({name, value});
    if (sample.kind != plugin::SeriesKind::histogram) {
      const bool gauge = sample.kind == plugin::SeriesKind::gauge;
      out.sample(labels, gauge ? sample.level : static_cast<double>(sample.count));
      continue;
    }
    std::vector<double> bounds;
    std::vector<uint64_t> buckets;
    uint64_t below = 0;
    for (const auto& [bound, cumulative] : sample.buckets) {
      bounds.push_back(bound);
      buckets.push_back(cumulative - below);
      below = cumulative;
    }
    buckets.push_back(sample.count - below);
    out.histogram(labels, bounds, buckets, sample.sum);
  }
}

void write_workers(observe::PrometheusText& out,
                   const std::vector<std::shared_ptr<const WorkerShare>>& shares) {
  size_t upstream_connections = 0;
  out.family("penstock_worker_loop_lag_seconds", MetricKind::gauge,
             "How long the last turn of a worker's event loop kept everybody else waiting.");
  for (size_t i = 0; i < shares.size(); ++i) {
    out.sample({{"worker", std::to_string(i)}}, static_cast<double>(shares[i]->lag_ms) / 1000.0);
    upstream_connections += shares[i]->upstream_connections;
  }
  out.family("http_client_open_connections", MetricKind::gauge, "Connections to backends that are open.");
  out.sample({}, static_cast<double>(upstream_connections));
}

constexpr std::array<std::pair<std::string_view, std::string_view>, net::TlsCounters::kinds> handshake_kinds{
    {{"TLSv1.2", "false"}, {"TLSv1.2", "true"}, {"TLSv1.3", "false"}, {"TLSv1.3", "true"}}};

void write_http2_ends(observe::PrometheusText& out,
                      const std::map<std::string, upstream::ConnectCounters>& total,
                      observe::Http2ErrorCounts upstream::ConnectCounters::* counts) {
  using Codes = observe::Http2ErrorCounts;
  for (const auto& [name, counters] : total)
    for (size_t code = 0; code < Codes::codes; ++code)
      if (uint64_t count = (counters.*counts).of(code); count > 0)
        out.sample({{"upstream", name}, {"error", Codes::name(code)}}, static_cast<double>(count));
}

void write_connects(observe::PrometheusText& out,
                    const std::vector<std::shared_ptr<const WorkerShare>>& shares) {
  std::map<std::string, upstream::ConnectCounters> total;
  for (const auto& share : shares)
    for (const auto& [name, counters] : share->connects) total[name].merge(counters);
  out.family("penstock_upstream_connect_failures_total", MetricKind::counter,
             "Connections to backends that could not be made, TLS handshakes among them, by reason.");
  for (const auto& [name, counters] : total)
    for (const auto& [reason, count] : counters.failures)
      out.sample({{"upstream", name}, {"reason", reason}}, static_cast<double>(count));
  out.family("penstock_upstream_tls_handshakes_total", MetricKind::counter,
             "TLS handshakes with backends that succeeded.");
  for (const auto& [name, counters] : total)
    for (size_t i = 0; i < counters.handshakes.size(); ++i)
      if (counters.handshakes[i] > 0)
        out.sample({{"upstream", name},
                    {"version", handshake_kinds[i].first},
                    {"resumed", handshake_kinds[i].second}},
                   static_cast<double>(counters.handshakes[i]));
  out.family("penstock_upstream_http2_goaways_total", MetricKind::counter,
             "GOAWAY frames that backends sent, by their code.");
  write_http2_ends(out, total, &upstream::ConnectCounters::goaways);
  out.family("penstock_upstream_http2_stream_resets_total", MetricKind::counter,
             "RST_STREAM frames that backends sent, by their code.");
  write_http2_ends(out, total, &upstream::ConnectCounters::stream_resets);
}

constexpr std::array<std::string_view, upstream::ClusterUse::versions> version_names{"1.1", "2"};

void write_upstream_use(observe::PrometheusText& out,
                        const std::vector<std::shared_ptr<const WorkerShare>>& shares) {
  std::map<std::string, upstream::ClusterUse> total;
  for (const auto& share : shares)
    for (const auto& [name, use] : share->use) total[name].merge(use);
  out.family("penstock_upstream_open_connections", MetricKind::gauge,
             "Connections to backends that are open, idle ones among them, by the version of HTTP.");
  for (const auto& [name, use] : total)
    for (size_t i = 0; i < version_names.size(); ++i)
      out.sample({{"upstream", name}, {"network_protocol_version", version_names[i]}},
                 static_cast<double>(use.connections[i]));
  out.family("penstock_upstream_http2_open_streams", MetricKind::gauge,
             "Requests that are open on connections of HTTP/2 to backends.");
  for (const auto& [name, use] : total)
    out.sample({{"upstream", name}}, static_cast<double>(use.http2_streams));
  out.family("penstock_upstream_waiting_requests", MetricKind::gauge,
             "Requests that wait for a connection to their backend, or for a stream on one.");
  for (const auto& [name, use] : total) out.sample({{"upstream", name}}, static_cast<double>(use.waiting));
}

void write_handshakes(observe::PrometheusText& out,
                      const std::vector<std::shared_ptr<const WorkerShare>>& shares) {
  std::map<std::string, net::TlsCounters> total;
  for (const auto& share : shares)
    for (const auto& [listener, counters] : share->tls) total[listener].merge(counters);
  if (total.empty()) return;
  out.family("penstock_tls_handshakes_total", MetricKind::counter, "TLS handshakes that succeeded.");
  for (const auto& [listener, counters] : total)
    for (size_t i = 0; i < handshake_kinds.size(); ++i)
      out.sample({{"listener", listener},
                  {"version", handshake_kinds[i].first},
                  {"resumed", handshake_kinds[i].second}},
                 static_cast<double>(counters.handshakes[i]));
  out.family("penstock_tls_handshake_failures_total", MetricKind::counter,
             "TLS handshakes that came to nothing, by reason.");
  for (const auto& [listener, counters] : total)
    for (size_t i = 0; i < counters.failures.size(); ++i)
      out.sample({{"listener", listener}, {"reason", net::name(static_cast<net::TlsFailure>(i))}},
                 static_cast<double>(counters.failures[i]));
  out.family("penstock_tls_tickets_refused_total", MetricKind::counter,
             "Full handshakes in place of a resumption that the client asked for, by reason.");
  for (const auto& [listener, counters] : total)
    for (size_t i = 1; i < counters.refused_tickets.size(); ++i)
      out.sample({{"listener", listener}, {"reason", net::name(static_cast<net::TicketRefusal>(i))}},
                 static_cast<double>(counters.refused_tickets[i]));
}

void write_redis(observe::PrometheusText& out, const store::RedisStore* redis) {
  if (redis == nullptr) return;
  out.family("penstock_redis_up", MetricKind::gauge, "1 while some worker has its answers from Redis.");
  out.sample({}, redis->up() ? 1 : 0);
  out.family("penstock_redis_processes", MetricKind::gauge,
             "Gateway processes that share Redis, as last seen; a local share is one of so many parts.");
  out.sample({}, redis->processes());
  out.family("penstock_redis_timeouts_total", MetricKind::counter,
             "Answers of Redis that came after redis.timeout or never.");
  out.sample({}, static_cast<double>(redis->timeouts()));
  out.family("penstock_redis_over_max_pending_total", MetricKind::counter,
             "Questions that Redis was not asked because redis.max_pending was reached.");
  out.sample({}, static_cast<double>(redis->full()));
}

}  // namespace

void Server::collect(std::function<void(std::string)> done) {
  if (state_ == State::ending) return done(render_metrics({}));
  auto collection = std::make_shared<Collection>();
  collection->done = std::move(done);
  collection->shares.resize(workers_.size());
  auto waiting = std::make_shared<size_t>(workers_.size());
  for (size_t i = 0; i < workers_.size(); ++i)
    workers_[i]->collect([this, collection, waiting, i](std::shared_ptr<const WorkerShare> share) {
      collection->shares[i] = std::move(share);
      if (--*waiting == 0) collection->done(render_metrics(collection->shares));
    });
}

void Server::write_loads(observe::PrometheusText& out, uint64_t (ListenerLoad::*number)() const) const {
  for (size_t i = 0; snapshot_ && i < snapshot_->listeners.size(); ++i)
    if (auto load = loads_.find(door_key(i)); load != loads_.end())
      out.sample({{"listener", snapshot_->listeners[i]->name}},
                 static_cast<double>(((*load->second).*number)()));
}

std::string Server::render_metrics(const std::vector<std::shared_ptr<const WorkerShare>>& shares) const {
  observe::RequestMetrics total;
  for (const auto& share : shares) total.merge(share->requests);
  for (const auto* local : {status_.get(), admin_.get()})
    if (local) total.limits.merge(local->limits());
  if (plugins_.host) total.limits.merge(plugins_.host->fetches().limits());
  if (health_checks_) total.limits.merge(health_checks_->limits());
  if (plugins_.host) total.limits.merge(plugins_.host->limit_counts());
  observe::PrometheusText out;
  observe::write_requests(out, total);
  write_workers(out, shares);
  write_upstream_use(out, shares);
  write_connects(out, shares);
  if (snapshot_ && directory_)
    write_endpoints(out, {*snapshot_, *directory_, *health_checks_, loop_.now_ms()});
  out.family(
      "penstock_listener_refused_connections_total", MetricKind::counter,
      "Connections closed at accept: over max_connections_per_client, or no place at a door that closes.");
  write_loads(out, &ListenerLoad::refused);
  out.family("penstock_listener_evicted_connections_total", MetricKind::counter,
             "Connections closed, while they waited for a request, to make room for new ones.");
  write_loads(out, &ListenerLoad::evicted);
  out.family("penstock_listener_bad_proxy_headers_total", MetricKind::counter,
             "Connections of trusted proxies closed because they began with no valid PROXY header.");
  write_loads(out, &ListenerLoad::bad_greetings);
  out.family(
      "penstock_buffered_bytes", MetricKind::gauge,
      "What is held for clients and backends, in the steps of 64 KiB a worker in which it is counted.");
  out.sample({}, static_cast<double>(std::max<int64_t>(budget_.used(), 0)));
  out.family("penstock_tls_handshakes_in_flight", MetricKind::gauge, "TLS handshakes that are under way.");
  for (size_t i = 0; snapshot_ && i < snapshot_->listeners.size(); ++i)
    if (auto load = loads_.find(door_key(i)); load != loads_.end() && snapshot_->listeners[i]->tls)
      out.sample({{"listener", snapshot_->listeners[i]->name}},
                 static_cast<double>(load->second->handshakes()));
  write_handshakes(out, shares);
  if (certificates_) certificates_->write_metrics(out);
  write_plugin_metrics(out, plugins_.host->metrics());
  out.family("penstock_ratelimit_evictions_total", MetricKind::counter,
             "Keys in use that rate limits forgot because the table was full.");
  out.sample({}, static_cast<double>(plugins_.host->limits().evictions()));
  out.family("penstock_plugin_store_full_total", MetricKind::counter,
             "Values of plugins that were given up, or not taken, because limits.plugin_store was reached.");
  out.sample({}, static_cast<double>(plugins_.host->values().full()));
  out.family("penstock_plugin_store_bytes", MetricKind::gauge, "What the values of plugins take.");
  out.sample({}, static_cast<double>(plugins_.host->values().bytes()));
  write_redis(out, plugins_.host->current_redis().get());
  out.family("penstock_config_generation", MetricKind::gauge, "Number of the configuration that is served.");
  out.sample({}, static_cast<double>(generation_));
  out.family("penstock_config_last_reload_successful", MetricKind::gauge,
             "1 when the last reload was taken, 0 when it was refused.");
  out.sample({}, last_reload_good_ ? 1 : 0);
  out.family("penstock_build_info", MetricKind::gauge, "The version that runs.");
  out.sample({{"version", PENSTOCK_VERSION}}, 1);
  return out.text();
}

}  // namespace penstock::server
