#include "config/scalars.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "config/parse_values.h"

namespace penstock::config {
namespace {

constexpr size_t max_secret_bytes = 1u << 20;

using Value = std::optional<std::string>;

bool is_variable_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
      return false;
  return true;
}

class Replacer {
 public:
  Replacer(Sources& sources, const Environment& environment, Diagnostics& diagnostics)
      : sources_(sources), environment_(environment), diagnostics_(diagnostics) {}

  void walk(Node& node, const std::string& path) {
    if (node.is_scalar()) {
      warn_of_literal(node, path);
      replace(node, path);
      return;
    }
    for (size_t i = 0; i < node.children.size(); ++i) {
      Node& child = node.children[i];
      if (child.secret_key && !child.key.empty())
        sources_.hidden.insert(child.key);  // an alias shows it elsewhere
      walk(child, node.is_list() ? fmt::format("{}[{}]", path, i)
                                 : fmt::format("{}{}{}", path, path.empty() ? "" : ".", shown_key(child)));
    }
  }

 private:
  // `key` is left out: it also names files and attributes.
  void warn_of_literal(const Node& node, const std::string& path) {
    const bool api_key = path.find(".credentials.api_keys") != std::string::npos;
    if (!api_key && node.key != "secret" && node.key != "password") return;
    if (node.text.find("${") != std::string::npos || node.text.starts_with("sha256:")) return;
    // A password's hash: not for everybody's eyes, but made to be written down.
    const bool hash = node.text.starts_with("$2") || node.text.starts_with("$argon2");
    if (hash && path.find(".credentials.basic") != std::string::npos) return;
    diagnostics_.warning("literal-secret", node.at, path, "a secret is written out in the configuration")
        .hint = api_key ? "write \"${file:path}\", \"${env:NAME}\" or sha256:DIGEST"
                        : "write \"${file:path}\" or \"${env:NAME}\"";
  }

  void replace(Node& node, const std::string& path) {
    if (node.text.find("${") == std::string::npos) return;
    const std::string text = std::exchange(node.text, {});
    for (size_t i = 0; i < text.size();) {
      if (text.compare(i, 3, "$${") == 0) {
        node.text += "${";
        i += 3;
      } else if (text.compare(i, 2, "${") == 0) {
        const size_t end = text.find('}', i);
        if (end == std::string::npos) {
          problem("reference", node, path, "'${' has no closing '}'").hint = "a literal ${ is written $${";
          return;
        }
        const Value value = look_up(std::string_view(text).substr(i + 2, end - i - 2), node, path);
        if (!value) return;
        node.text += *value;
        node.secret = true;
        if (!value->empty()) sources_.hidden.insert(*value);
        i = end + 1;
      } else {
        node.text += text[i++];
      }
    }
    if (node.secret && !node.text.empty()) sources_.hidden.insert(node.text);
  }

  // A secret that is written out may look like a wrong reference, and a default may be one.
  static std::string_view quotable(std::string_view reference, const Node& node) {
    return node.secret ? hidden_text : reference.substr(0, reference.find(":-"));
  }

  Value look_up(std::string_view reference, Node& node, const std::string& path) {
    const size_t colon = reference.find(':');
    const std::string_view form = reference.substr(0, colon);
    const std::string_view argument = colon == reference.npos ? "" : reference.substr(colon + 1);
    if (colon != reference.npos && form == "env") return variable(argument, node, path);
    if (colon != reference.npos && form == "file")
      return file(sources_.resolve(node.at.file, argument), reference, node, path);
    if (colon != reference.npos && form == "cred") return credential(argument, reference, node, path);
    Diagnostic& diagnostic =
        problem("reference", node, path, fmt::format("${{{}}} is not known", quotable(reference, node)));
    diagnostic.hint = colon == reference.npos && is_variable_name(reference) && !node.secret
                          ? fmt::format("did you mean ${{env:{}}}?", reference)
                          : "known are ${env:NAME}, ${env:NAME:-default}, ${file:path} and ${cred:name}";
    return std::nullopt;
  }

  Value variable(std::string_view argument, Node& node, const std::string& path) {
    const size_t separator = argument.find(":-");
    const std::string_view name = argument.substr(0, separator);
    if (!is_variable_name(name)) {
      problem("reference", node, path,
              fmt::format("'{}' is no name of an environment variable", quotable(name, node)));
      return std::nullopt;
    }
    Value value = environment_.variable(name);
    if (separator != argument.npos) {
      if (!value || value->empty()) return std::string(argument.substr(separator + 2));
    } else if (!value) {
      problem("variable", node, path, fmt::format("environment variable {} is not set", name)).hint =
          fmt::format("set it, or give a default: ${{env:{}:-default}}", name);
    }
    return value;
  }

  Value credential(std::string_view name, std::string_view reference, Node& node, const std::string& path) {
    if (name.empty() || name.find('/') != name.npos || name[0] == '.') {
      problem("reference", node, path, fmt::format("'{}' is no name of a credential", quotable(name, node)));
      return std::nullopt;
    }
    if (environment_.credentials_directory.empty()) {
      problem(
          "variable", node, path,
          fmt::format("${{{}}}: $CREDENTIALS_DIRECTORY is not set, which systemd does for LoadCredential=",
                      reference));
      return std::nullopt;
    }
    return file(environment_.credentials_directory + "/" + std::string(name), reference, node, path);
  }

  Value file(const std::string& name, std::string_view reference, Node& node, const std::string& path) {
    if (!is_file_name(name)) {
      problem("bad-file", node, path, fmt::format("'{}' is no file name", quotable(name, node)));
      return std::nullopt;
    }
    FileText read = read_text_file(name, max_secret_bytes);
    if (!read.problem.empty()) {
      problem("missing-file", node, path,
              fmt::format("${{{}}}: cannot read {}: {}", reference, name, read.problem))
          .hint = "create the file, or correct the path (it is relative to the file that names it)";
      return std::nullopt;
    }
    struct stat info{};
    if (::stat(name.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0)
      diagnostics_
          .warning("readable-secret", node.at, path, fmt::format("others can read the secret file {}", name))
          .hint = fmt::format("chmod o-r {}", name);
    if (read.text.ends_with("\r\n"))
      read.text.resize(read.text.size() - 2);
    else if (read.text.ends_with('\n'))
      read.text.pop_back();
    return std::move(read.text);
  }

  Diagnostic& problem(std::string_view code, Node& node, const std::string& path, std::string text) {
    node.unusable = true;
    return diagnostics_.error(code, node.at, path, std::move(text));
  }

  Sources& sources_;
  const Environment& environment_;
  Diagnostics& diagnostics_;
};

}  // namespace

Environment process_environment() {
  Environment environment;
  environment.variable = [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  if (const char* directory = std::getenv("CREDENTIALS_DIRECTORY"))
    environment.credentials_directory = directory;
  return environment;
}

void replace_references(Node& root, Sources& sources, const Environment& environment,
                        Diagnostics& diagnostics) {
  Replacer(sources, environment, diagnostics).walk(root, "");
}

}  // namespace penstock::config
