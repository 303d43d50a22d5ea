// What explain found, for people and for programs.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "admin/describe.h"
#include "admin/explain.h"

namespace penstock::admin {
namespace {

using Verdict = Explained::Verdict;
using Json = nlohmann::ordered_json;

// What it is about, a name, a place, and then words; columns as wide as what stands in them.
struct Row {
  std::string label, name, at, words;
};

std::string table(const std::vector<Row>& rows) {
  size_t name_width = 0, at_width = 0;
  for (const Row& row : rows) {
    name_width = std::max(name_width, row.name.size());
    at_width = std::max(at_width, row.at.size());
  }
  std::string out;
  for (const Row& row : rows) {
    out +=
        fmt::format("{:<9} {:<{}}  {:<{}}  {}", row.label, row.name, name_width, row.at, at_width, row.words);
    out.resize(out.find_last_not_of(' ') + 1);
    out += '\n';
  }
  return out;
}

std::string words_of(const Explained::Plugin& plugin) {
  std::string_view before = plugin.detail.empty() ? "" : ": ";
  switch (plugin.verdict) {
    case Verdict::proceeds: return plugin.detail.empty() ? "continues" : plugin.detail;
    case Verdict::depends: return fmt::format("depends on {}{}{}", plugin.on, before, plugin.detail);
    case Verdict::not_reached: return "not reached";
    case Verdict::answers:
      return fmt::format("{}{}answers {} {}      <- stops here", plugin.detail, before, plugin.status,
                         plugin.reason);
  }
  return {};
}

Row listener_row(const Explained& explained) {
  const auto& listener = explained.listener;
  std::string words = describe_protocols(listener.protocols);
  if (!listener.certificate.empty())
    words += fmt::format(", certificate {}, {} days left", listener.certificate, listener.certificate_days);
  return {"listener", fmt::format("{} :{}", listener.name, listener.port), listener.at, words};
}

Row target_row(const Explained& explained, const Explained::Target& target) {
  std::string status = fmt::format("{}", explained.answer ? explained.answer->status : 0);
  if (target.kind == "respond") return {"answer", status, target.at, "by the route itself"};
  if (target.kind == "redirect") return {"redirect", status, target.at, target.name};
  return {"upstream", target.name, target.at, target.settings};
}

std::string endpoints_line(const Explained& explained) {
  std::string out = "endpoints";
  for (const auto& endpoint : explained.endpoints)
    out += fmt::format(" {} {}  ", endpoint.address, endpoint.state);
  out.resize(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

// Text of a client: JSON wants UTF-8, and the dump below replaces what is none.
Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json plugins_json(const Explained& explained) {
  Json plugins = Json::array();
  for (const auto& plugin : explained.plugins) {
    if (plugin.verdict == Verdict::not_reached) continue;
    Json item{{"name", plugin.name}, {"at", plugin.at}, {"verdict", std::string(name(plugin.verdict))}};
    item["status"] = plugin.status ? Json(plugin.status) : Json(nullptr);
    item["reason"] = text_or_null(plugin.reason);
    item["on"] = text_or_null(plugin.on);
    if (!plugin.detail.empty()) item["detail"] = plugin.detail;
    plugins.push_back(std::move(item));
  }
  return plugins;
}

Json route_json(const Explained& explained) {
  Json considered = Json::array();
  for (const auto& route : explained.considered)
    considered.push_back({{"name", route.name}, {"at", route.at}, {"why_not", route.why_not}});
  Json route{{"name", nullptr}, {"at", nullptr}};
  if (explained.route) route = {{"name", explained.route->name}, {"at", explained.route->at}};
  route["considered"] = std::move(considered);
  return route;
}

Json target_json(const Explained& explained) {
  if (!explained.target) return nullptr;
  const Explained::Target& target = *explained.target;
  Json out{{"upstream", target.kind == "upstream" ? Json(target.name) : Json(nullptr)}};
  if (target.kind != "upstream") out[target.kind] = target.kind == "respond" ? Json(true) : Json(target.name);
  out["at"] = text_or_null(target.at);
  if (!target.protocols.empty()) out["protocols"] = target.protocols;
  return out;
}

}  // namespace

std::string_view name(Explained::Verdict verdict) {
  switch (verdict) {
    case Verdict::proceeds: return "continue";
    case Verdict::answers: return "answer";
    case Verdict::depends: return "depends";
    case Verdict::not_reached: return "not reached";
  }
  return {};
}

std::string to_human(const Explained& explained) {
  const Question& question = explained.question;
  std::vector<Row> rows{listener_row(explained)};
  if (explained.route)
    rows.push_back({"route", explained.route->name, explained.route->at, explained.route->conditions});
  else if (explained.answer && !explained.answer->reason.empty())
    rows.push_back({"route", "none", "",
                    fmt::format("answers {} {}", explained.answer->status, explained.answer->reason)});
  for (const auto& route : explained.considered)
    rows.push_back({"", "not " + route.name, route.at, route.why_not});
  size_t number = 0;
  for (const auto& plugin : explained.plugins) {
    ++number;
    rows.push_back({number == 1 ? "plugins" : "", fmt::format("{} {}", number, plugin.name), plugin.at,
                    words_of(plugin)});
  }
  if (explained.target) rows.push_back(target_row(explained, *explained.target));
  std::string out =
      fmt::format("{} {}   (client {})\n", question.method, question.url, question.client_ip) + table(rows);
  if (!explained.endpoints.empty()) out += endpoints_line(explained);
  return out;
}

std::string to_json(const Explained& explained) {
  const Question& question = explained.question;
  Json out;
  out["request"] = {{"method", question.method},
                    {"url", question.url},
                    {"client", question.client_ip},
                    {"path", text_or_null(explained.path)},
                    {"api_version", text_or_null(explained.api_version)},
                    {"consumer", text_or_null(explained.consumer)}};
  out["listener"] = {{"name", explained.listener.name},
                     {"at", explained.listener.at},
                     {"protocols", explained.listener.protocols}};
  out["route"] = route_json(explained);
  out["plugins"] = plugins_json(explained);
  out["target"] = target_json(explained);
  Json endpoints = Json::array();
  for (const auto& endpoint : explained.endpoints)
    endpoints.push_back({{"address", endpoint.address}, {"state", endpoint.state}});
  out["endpoints"] = std::move(endpoints);
  out["answer"] = nullptr;
  if (explained.answer)
    out["answer"] = {{"status", explained.answer->status},
                     {"reason", text_or_null(explained.answer->reason)}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace penstock::admin
