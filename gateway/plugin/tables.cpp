#include "plugin/tables.h"

#include <utility>

namespace penstock::plugin {

const void* find_table(std::string_view id) {
  static constexpr std::pair<std::string_view, const void*> tables[] = {
      {GW_HTTP_V0, &http_table},     {GW_CONSUMER_V0, &consumer_table}, {GW_CONNECTION_V0, &connection_table},
      {GW_TRACE_V0, &trace_table},   {GW_CLOCK_V0, &clock_table},       {GW_ASYNC_V0, &async_table},
      {GW_KV_V0, &kv_table},         {GW_CONFIG_V0, &config_table},     {GW_LOG_V0, &log_table},
      {GW_METRIC_V0, &metric_table}, {GW_EVENT_V0, &event_table},       {GW_FETCH_V0, &fetch_table}};
  for (const auto& [name, table] : tables) {
    if (name == id) return table;
  }
  return nullptr;
}

}  // namespace penstock::plugin
