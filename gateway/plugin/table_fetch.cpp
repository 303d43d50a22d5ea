// gw.fetch: asking somebody over HTTP. What is asked is in fetches.h.
#include <filesystem>

#include "config/asked_endpoint.h"
#include "plugin/fetch_question.h"
#include "plugin/handles.h"
#include "plugin/host.h"
#include "plugin/tables.h"

namespace penstock::plugin {
namespace {

constexpr double seconds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5};

void declare_metrics(FetchEndpoint& endpoint, gw_instance& instance) {
  Metrics& metrics = instance.host->metric_store();
  for (size_t i = 0; i < endpoint.results.size(); ++i)
    endpoint.results[i] =
        metrics.declare(instance.name, "penstock_plugin_fetches_total",
                        "What plugins asked over HTTP for requests and for themselves, by how it ended",
                        "result", name(static_cast<FetchResult>(i)), {}, SeriesKind::counter);
  endpoint.duration =
      metrics.declare(instance.name, "penstock_plugin_fetch_duration_seconds",
                      "How long plugins' fetches took", {}, {}, seconds, SeriesKind::histogram);
}

std::string folder_of(const gw_node* node) {
  const Configuration& c = *node->configuration;
  const uint32_t file = node->node->at.file;
  return file < c.files.size() ? std::filesystem::path(c.files[file]).parent_path().string() : std::string();
}

const FetchEndpoint* find(const gw_instance& instance, gw_id id) {
  return id == 0 || id > instance.fetch_endpoints.size() ? nullptr : &instance.fetch_endpoints[id - 1];
}

gw_rc endpoint(const gw_node* node, gw_id* out) {
  Configuration& c = *node->configuration;
  gw_instance& instance = c.instance;
  const std::string place = place_of(node);
  *out = 0;
  for (size_t i = 0; i < instance.fetch_endpoints.size(); ++i)
    if (instance.fetch_endpoints[i].place == place) *out = static_cast<gw_id>(i + 1);
  if (*out != 0) return GW_OK;  // asked for again
  if (node->node->unusable) {
    ++c.errors;
    return GW_EINVAL;
  }
  // Names of ours hold no colon, so this is nobody's upstream.
  const std::string name = instance.name + ":" + config::path_within(c.root, *node->node);
  auto asked = config::compile_asked_endpoint(*node->node, place, name, folder_of(node), c.diagnostics);
  if (!asked) {
    ++c.errors;
    return GW_EINVAL;
  }
  auto [cluster, cluster_name] = c.targets.add_asked(std::move(asked->upstream), place);
  FetchEndpoint made{cluster,          std::move(cluster_name), place, asked->url.authority, asked->url.path,
                     asked->url.query, asked->url.has_query};
  declare_metrics(made, instance);
  instance.fetch_endpoints.push_back(std::move(made));
  *out = static_cast<gw_id>(instance.fetch_endpoints.size());
  return GW_OK;
}

gw_rc start(gw_req* req, gw_ticket ticket, gw_instance* instance, gw_id id, const gw_fetch_request* asked) {
  if (instance != &req->instance || asked == nullptr) return GW_EINVAL;
  const FetchEndpoint* endpoint = find(*instance, id);
  if (endpoint == nullptr) return GW_EINVAL;
  return req->host.fetches().start(*req, ticket, *endpoint, *asked);
}

gw_rc background(gw_instance* instance, gw_id id, const gw_fetch_request* asked,
                 void (*done)(void*, const gw_fetch_answer*), void* user) {
  if (instance == nullptr || asked == nullptr || done == nullptr) return GW_EINVAL;
  const FetchEndpoint* endpoint = find(*instance, id);
  if (endpoint == nullptr) return GW_EINVAL;
  return instance->host->fetches().background(*instance, *endpoint, *asked, done, user);
}

}  // namespace

constinit const gw_fetch_v0 fetch_table{sizeof(gw_fetch_v0), 0, &endpoint, &start, &background};

}  // namespace penstock::plugin
