#include <algorithm>

#include "server/building.h"

namespace penstock::server {
namespace {

using Hook = proxy::Filter::Hook;

const proxy::Filter* instance(Building& building, const config::NameRef& ref) {
  auto it = building.plugins.find(ref.name);
  return it == building.plugins.end() ? nullptr : it->second;
}

void add_plugins(Building& building, proxy::Chain& chain, const std::vector<config::NameRef>& names,
                 const std::string& path) {
  for (const config::NameRef& ref : names) {
    const proxy::Filter* filter = instance(building, ref);
    if (!filter) continue;
    uint32_t other_hooks = filter->hooks() & ~(Hook::authenticate_hook | Hook::explain_hook);
    if (other_hooks == 0) {
      building.diagnostics.error("misplaced-authenticator", ref.at, path,
                                 "'" + ref.name + "' (" + filter->type() +
                                     ") is an authenticator and does nothing here; it belongs under auth");
      continue;
    }
    chain.add(*filter);
  }
}

proxy::AccessRule rule_of(const config::AccessList& list) {
  proxy::AccessRule rule;
  for (const config::NameRef& consumer : list.consumers) rule.consumers.push_back(consumer.name);
  for (const config::NameRef& group : list.groups) rule.groups.push_back(group.name);
  return rule;
}

std::string authenticators_there_are(const Building& building) {
  std::string list;
  for (const auto& [name, filter] : building.plugins)
    if (filter && filter->has(Hook::authenticate_hook)) list += (list.empty() ? "" : ", ") + name;
  return list.empty() ? "none is defined" : "there are " + list;
}

void add_new(std::vector<std::string>& names, const std::vector<std::string>& more) {
  for (const std::string& name : more)
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
}

void add_auth(Building& building, proxy::Route& route, const config::Auth& auth) {
  std::vector<const proxy::Filter*> authenticators;
  for (const config::NameRef& ref : auth.authenticators) {
    const proxy::Filter* filter = instance(building, ref);
    if (!filter) continue;
    if (!filter->has(Hook::authenticate_hook)) {
      building.diagnostics.error("not-an-authenticator", ref.at, "routes." + route.name + ".auth",
                                 "'" + ref.name + "' (" + filter->type() +
                                     ") is no authenticator, so it cannot let anybody in (" +
                                     authenticators_there_are(building) + ")");
      continue;
    }
    authenticators.push_back(filter);
    if (route.config->forward_credentials == config::Route::ForwardCredentials::yes) continue;
    add_new(route.dropped_headers, filter->credential_headers());
    add_new(route.dropped_query, filter->credential_query());
    add_new(route.dropped_cookies, filter->credential_cookies());
  }
  proxy::AuthPolicy policy;
  policy.combine = auth.combine;
  policy.optional = auth.credentials == config::Auth::Credentials::optional;
  policy.allow = rule_of(auth.allow);
  policy.deny = rule_of(auth.deny);
  route.chain.set_auth(std::move(policy), authenticators);
}

// Order: version, before_auth, auth, plugins, access_log.
void fill_chain(Building& building, proxy::Route& route) {
  const config::Route& config = *route.config;
  std::string path = "routes." + route.name;
  if (const proxy::Filter* version = building.versions[route.name]) route.chain.add(*version);
  add_plugins(building, route.chain, config.before_auth, path + ".before_auth");
  if (config.auth) add_auth(building, route, *config.auth);
  add_plugins(building, route.chain, config.plugins, path + ".plugins");
  for (const proxy::Filter* log : config.access_log ? building.access_logs[route.name] : building.access_log)
    route.chain.add(*log);
}

proxy::CompiledEdits compile_edits(const config::HeaderEdits& edits, proxy::Names& names) {
  proxy::CompiledEdits compiled;
  compiled.remove = edits.remove;
  for (const config::HeaderTemplate& header : edits.set)
    compiled.set.emplace_back(header.name, proxy::TextTemplate(header.value, names));
  for (const config::HeaderTemplate& header : edits.add)
    compiled.add.emplace_back(header.name, proxy::TextTemplate(header.value, names));
  return compiled;
}

void fill_settings(proxy::Route& route, proxy::Names& names) {
  const config::Route& config = *route.config;
  auto ms = [](config::Duration duration) { return static_cast<uint32_t>(duration.count()); };
  route.request_edits = compile_edits(config.request_headers, names);
  route.response_edits = compile_edits(config.response_headers, names);
  for (const config::IdentityHeader& header : config.identity_headers)
    route.identity_headers.push_back({header.name, proxy::compile(header.value, names)});
  if (config.rewrite && config.rewrite->path) route.rewrite_path.emplace(*config.rewrite->path, names);
  route.body_size_limit = config.body_size.value_or(0);
  route.body_buffer = config.body_buffer;
  route.connect_timeout_ms = ms(config.timeouts.connect);
  route.first_byte_timeout_ms = ms(config.timeouts.first_byte);
  route.idle_timeout_ms = ms(config.timeouts.idle);
  route.total_timeout_ms = config.timeouts.total ? ms(*config.timeouts.total) : 0;
}

// A plugin that reads no tokens would never ask for this value: the consumer could not get in by it.
void check_issuer(Building& building, const config::Consumer& consumer, const config::JwtCredential& jwt) {
  const proxy::Filter* filter = instance(building, jwt.plugin);
  if (!filter) return;
  if (filter->type() == "jwt" || filter->type() == "introspection") return;
  building.diagnostics.error("no-token-plugin", jwt.plugin.at,
                             "consumers." + consumer.name + ".credentials.jwt",
                             "plugin '" + jwt.plugin.name + "' (" + filter->type() +
                                 ") reads no tokens; name an instance of type jwt or introspection");
}

void add_certificates(proxy::Consumers& index, const proxy::Consumer& added,
                      const config::Consumer& consumer) {
  using enum proxy::CertificateName;
  for (const auto& name : consumer.mtls_subjects) index.add_certificate(added, subject, name.value);
  for (const auto& name : consumer.mtls_sans) index.add_certificate(added, alternative, name.value);
  for (const auto& name : consumer.mtls_fingerprints) index.add_certificate(added, fingerprint, name.value);
}

// The snapshot's configuration keeps these texts.
void add_secrets(proxy::Consumers& index, const proxy::Consumer& added, const config::Consumer& consumer) {
  for (const auto& user : consumer.basic)
    index.add_secret(added, proxy::SecretKind::basic, user.name, user.secret.reveal());
  for (const auto& key : consumer.hmac)
    index.add_secret(added, proxy::SecretKind::hmac, key.name, key.secret.reveal());
}

}  // namespace

void build_consumers(Building& building) {
  for (const config::Consumer& consumer : building.config.consumers) {
    proxy::Consumers& index = building.snapshot.consumers;
    const proxy::Consumer& added = index.add(consumer.name, consumer.groups);
    for (const config::ApiKeyCredential& key : consumer.api_keys) {
      bool hashed = key.form == config::ApiKeyCredential::Form::sha256;
      index.add_api_key(
          added, hashed ? "sha256:" + std::string(key.value.reveal()) : std::string(key.value.reveal()));
    }
    for (const config::JwtCredential& jwt : consumer.jwt) check_issuer(building, consumer, jwt);
    for (const config::JwtCredential& jwt : consumer.jwt) index.add_jwt(added, jwt.plugin.name, jwt.value);
    add_certificates(index, added, consumer);
    add_secrets(index, added, consumer);
  }
}

void build_routes(Building& building) {
  for (const proxy::Filter* log : building.access_log) building.snapshot.base_chain.add(*log);
  for (const config::Route& config : building.config.routes) {
    auto route = std::make_unique<proxy::Route>();
    route->name = config.name;
    route->at = building.at(config.at);
    route->index = static_cast<uint32_t>(building.snapshot.routes.size());
    route->config = &config;
    route->target = add_target(building, config.target);
    fill_settings(*route, building.host.names());
    fill_chain(building, *route);
    building.snapshot.routes.push_back(std::move(route));
  }
}

}  // namespace penstock::server
