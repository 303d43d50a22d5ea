// Plugin instances and consumers.
#include <fmt/format.h>

#include <map>
#include <utility>

#include "config/compile.h"
#include "net/digest.h"

namespace penstock::config {
namespace {

constexpr std::string_view digest_prefix = "sha256:";

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

ApiKeyCredential compile_key(const Node& node, const std::string& path, Build& build) {
  ApiKeyCredential key;
  key.at = node.at;
  if (!node.text.starts_with(digest_prefix)) {
    if (node.text.empty()) build.diagnostics.error("bad-value", node.at, path, "the API key is empty");
    key.value = Secret(node.text);
    return key;
  }
  key.form = ApiKeyCredential::Form::sha256;
  key.value = Secret(node.text.substr(digest_prefix.size()));
  if (!is_digest(key.value.reveal()))
    build.diagnostics.error("bad-value", node.at, path, "sha256: is not followed by 64 lower-case hex digits")
        .hint = "printf %s KEY | sha256sum";
  return key;
}

void compile_tokens(const Node* subjects, Consumer& consumer) {
  if (subjects == nullptr) return;
  for (const Node& subject : subjects->children) {
    const Node* plugin = usable(subject, "plugin");
    const Node* value = usable(subject, "value");
    if (plugin == nullptr || value == nullptr) continue;
    JwtCredential& jwt = consumer.jwt.emplace_back();
    jwt.plugin.name = plugin->text;
    jwt.plugin.at = plugin->at;
    jwt.value = value->text;
    jwt.at = subject.at;
  }
}

void compile_credentials(const Node* node, const std::string& path, Consumer& consumer, Build& build) {
  if (const Node* keys = usable(node, "api_keys"))
    for (size_t i = 0; i < keys->children.size(); ++i)
      if (const Node& key = keys->children[i]; key.is_scalar() && !key.unusable)
        consumer.api_keys.push_back(compile_key(key, fmt::format("{}.api_keys[{}]", path, i), build));
  compile_tokens(usable(node, "jwt"), consumer);
  compile_certificates(node, path, consumer, build);
  compile_secrets(node, path, consumer, build);
}

// One text for a key and for its digest.
std::string digest_of(const ApiKeyCredential& key) {
  if (key.form == ApiKeyCredential::Form::sha256) return std::string(key.value.reveal());
  std::string hex;
  for (const uint8_t byte : net::sha256(key.value.reveal())) hex += fmt::format("{:02x}", byte);
  return hex;
}

// A credential that two consumers share could not tell them apart.
class SharedCredentials {
 public:
  void claim(const std::string& credential, const Consumer& consumer, Position at, const std::string& what,
             Build& build) {
    const auto [first, fresh] = owners_.emplace(credential, std::pair(consumer.name, at));
    if (fresh) return;
    Diagnostic& diagnostic = build.diagnostics.error(
        "shared-credential", at, "consumers." + consumer.name,
        fmt::format("{} of consumer '{}' already belongs to '{}'", what, consumer.name, first->second.first));
    diagnostic.related = first->second.second;
    diagnostic.related_note = "first at";
  }

 private:
  std::map<std::string, std::pair<std::string, Position>> owners_;
};

}  // namespace

void compile_consumers(const Node& root, Build& build) {
  const Node* list = usable(root, "consumers");
  if (list == nullptr) return;
  std::map<std::string, Position> seen;
  SharedCredentials shared;
  for (const Node& node : list->children) {
    if (node.unusable) continue;
    Consumer consumer;
    consumer.at = node.at;
    take(&node, "name", consumer.name);
    const std::string path = "consumers." + consumer.name;
    for (const NameRef& group : names_in(usable(node, "groups"))) consumer.groups.push_back(group.name);
    compile_credentials(usable(node, "credentials"), path + ".credentials", consumer, build);
    const auto [first, fresh] = seen.emplace(consumer.name, consumer.at);
    if (!fresh && !consumer.name.empty())
      report_duplicate(consumer.at, first->second, path,
                       fmt::format("consumer '{}' is defined twice", consumer.name), build);
    for (const ApiKeyCredential& key : consumer.api_keys)
      shared.claim("key " + digest_of(key), consumer, key.at, "an API key", build);
    for (const JwtCredential& jwt : consumer.jwt)
      shared.claim(fmt::format("jwt {} {}", jwt.plugin.name, jwt.value), consumer, jwt.at, "a token subject",
                   build);
    for (const CertificateCredential& name : consumer.mtls_subjects)
      shared.claim("subject " + name.value, consumer, name.at, "a certificate's subject", build);
    for (const CertificateCredential& name : consumer.mtls_sans)
      shared.claim("name " + name.value, consumer, name.at, "a certificate's name", build);
    for (const CertificateCredential& name : consumer.mtls_fingerprints)
      shared.claim("fingerprint " + name.value, consumer, name.at, "a certificate's fingerprint", build);
    for (const SecretCredential& user : consumer.basic)
      shared.claim("basic " + user.name, consumer, user.at, "a user's name", build);
    for (const SecretCredential& key : consumer.hmac)
      shared.claim("hmac " + key.name, consumer, key.at, "a key's id", build);
    build.config.consumers.push_back(std::move(consumer));
  }
}

void compile_plugins(const Node& root, Build& build) {
  const Node* map = usable(root, "plugins");
  if (map == nullptr) return;
  for (const Node& node : map->children) {
    if (node.unusable || !node.is_map()) continue;
    PluginInstance plugin;
    plugin.name = node.key;
    plugin.path = "plugins." + node.key;
    plugin.at = node.key_at;
    take(&node, "type", plugin.type);
    if (const Node* type = usable(node, "type")) {
      plugin.type_at = type->at;
      plugin.type_secret = type->secret;
    }
    if (const Node* on_error = usable(node, "on_error")) {
      plugin.on_error = on_error->text == "skip" ? OnError::skip : OnError::fail;
      plugin.on_error_at = on_error->at;
    }
    plugin.node = node;
    std::erase_if(plugin.node.children,
                  [](const Node& child) { return child.key == "type" || child.key == "on_error"; });
    build.config.plugins.push_back(std::move(plugin));
  }
}

}  // namespace penstock::config
