#include "plugin/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "plugin/elf_symbols.h"
#include "plugin/handles.h"
#include "plugin/host.h"
#include "plugin/loaded_object.h"

namespace penstock::plugin {
namespace {

constexpr const char* entry_symbol = "gw_plugin_entry";

// Any target will do: nothing is routed here.
struct AnyTarget final : TargetSink {
  uint32_t add_target(const config::Node&) override { return 1; }
  Asked add_asked(config::Upstream, const std::string&) override { return {0, "asked"}; }
};

// A sanitizer's runtime may be the program's.
bool of_a_sanitizer(std::string_view symbol) {
  for (const std::string_view prefix :
       {"__asan_", "__ubsan_", "__tsan_", "__lsan_", "__msan_", "__sanitizer_"})
    if (symbol.starts_with(prefix)) return true;
  return false;
}

class Inspector {
 public:
  Inspector(const std::string& path, const std::function<void(std::string_view)>& begins)
      : begins_(begins), host_(names_, {.max_limit_keys = 1024}) {
    out_.path = path;
  }

  Inspection run() {
    std::string bytes;
    if (!read(bytes)) return std::move(out_);
    begins_("while it was loaded");
    auto library = host_.load(out_.path);
    if (!library) {
      problem(library.error());
      return std::move(out_);
    }
    look_into(bytes, **library);
    for (const gw_plugin* plugin : (*library)->plugins()) out_.types.push_back(facts_of(*plugin));
    if (const std::string twice = types_.add(*library); !twice.empty()) problem(twice);
    for (InspectedType& type : out_.types) configure(type);
    begins_("while it was unloaded");
    types_ = {};
    library->reset();
    return std::move(out_);
  }

 private:
  // Sentences of the host begin with the path already.
  void problem(std::string_view sentence) {
    const std::string prefix = out_.path + ": ";
    if (sentence.starts_with(prefix)) sentence.remove_prefix(prefix.size());
    out_.problems.emplace_back(sentence);
  }

  bool read(std::string& bytes) {
    auto file = read_library(out_.path);
    if (!file) {
      problem(file.error());
      return false;
    }
    out_.hash = std::move(file->hash);
    bytes = std::move(file->bytes);
    out_.bytes = bytes.size();
    return true;
  }

  // gw_plugin is static data of the object, so that its address leads to it.
  void look_into(std::string_view bytes, const Library& library) {
    const LoadedObject object(library.plugins().front());
    const auto* entry = static_cast<const gw_entry*>(object.find(entry_symbol));
    if (entry == nullptr) return problem("its types are no static data of its own");
    out_.abi_major = entry->abi_major;
    out_.abi_minor = entry->abi_minor;
    check_symbols(bytes, object);
  }

  InspectedType facts_of(const gw_plugin& p) {
    InspectedType type;
    type.name = view(p.type);
    type.version = view(p.version);
    type.request_bytes = p.ctx_size;
    if (p.authenticate != nullptr) type.role = InspectedType::Role::authenticator;
    for (const char* const* need = p.needs; need != nullptr && *need != nullptr; ++need)
      type.needs.emplace_back(*need);
    type.hooks = hooks_of(&p);
    if (type.hooks.empty())
      problem(fmt::format("type '{}' has no hook, so it would never be called", type.name));
    check_version(type);
    take_schema(p, type);
    return type;
  }

  static std::vector<std::string> hooks_of(const gw_plugin* p) {
    const std::pair<const char*, bool> all[] = {
        {"authenticate", p->authenticate != nullptr},
        {"on_request_headers", p->on_request_headers != nullptr},
        {"on_request_body", p->on_request_body != nullptr},
        {"on_request_trailers", p->on_request_trailers != nullptr},
        {"on_response_headers", p->on_response_headers != nullptr},
        {"on_response_body", p->on_response_body != nullptr},
        {"on_response_trailers", p->on_response_trailers != nullptr},
        {"on_upgrade", p->on_upgrade != nullptr},
        {"on_resume", p->on_resume != nullptr},
        {"on_attempt", GW_HAS(p, on_attempt) && p->on_attempt != nullptr},
        {"on_complete", p->on_complete != nullptr},
        {"explain", GW_HAS(p, explain) && p->explain != nullptr}};
    std::vector<std::string> out;
    for (const auto& [name, there] : all)
      if (there) out.emplace_back(name);
    return out;
  }

  void check_version(const InspectedType& type) {
    const bool printable = std::ranges::all_of(type.version, [](char c) { return c > 0x20 && c < 0x7f; });
    if (type.version.empty() || type.version.size() > 64 || !printable)
      problem(fmt::format("the version of type '{}' is not 1 to 64 visible characters", type.name));
  }

  void take_schema(const gw_plugin& p, InspectedType& type) {
    if (p.schema == nullptr) return;
    begins_(fmt::format("while type '{}' was asked for its schema", type.name));
    const std::string text(view(p.schema()));
    const auto schema = nlohmann::json::parse(text, nullptr, false);
    if (!schema.is_object()) {
      problem(fmt::format("the schema of type '{}' is no JSON object", type.name));
    } else {
      type.schema = text;
    }
  }

  void check_symbols(std::string_view bytes, const LoadedObject& object) {
    const auto symbols = dynamic_symbols(bytes);
    if (!symbols) return problem(symbols.error());
    std::vector<std::string_view> others, unique, missing;
    for (const ElfSymbol& symbol : *symbols) {
      using Kind = ElfSymbol::Kind;
      if (symbol.kind == Kind::unique) unique.push_back(symbol.name);
      if (symbol.kind == Kind::exported && symbol.name != entry_symbol) others.push_back(symbol.name);
      if (symbol.kind == Kind::wanted && !of_a_sanitizer(symbol.name) && !object.has(symbol.name.c_str()))
        missing.push_back(symbol.name);
    }
    name(others, "exports more than gw_plugin_entry, which two plugins could share by accident");
    name(unique,
         "has symbols of the kind STB_GNU_UNIQUE, so it can never be unloaded (build it with "
         "-fno-gnu-unique)");
    name(missing, "uses symbols that neither it nor a library that it is linked with has");
  }

  void name(const std::vector<std::string_view>& symbols, std::string_view sentence) {
    if (symbols.empty()) return;
    constexpr size_t shown = 3;
    std::string list;
    for (size_t i = 0; i < std::min(symbols.size(), shown); ++i)
      list += (i == 0 ? "" : ", ") + std::string(symbols[i]);
    if (symbols.size() > shown) list += fmt::format(" and {} more", symbols.size() - shown);
    problem(fmt::format("{}: {}", sentence, list));
  }

  // With no key at all: most types accept that or say which key they need, and none may crash on it.
  void configure(InspectedType& type) {
    config::Node empty;
    empty.kind = config::NodeKind::map;
    empty.at = {0, 1, 1};
    const std::vector<std::string> files{out_.path};
    config::Diagnostics said;
    AnyTarget targets;
    begins_(fmt::format("while type '{}' was configured with no key", type.name));
    auto made = host_.configure({.name = "check",
                                 .type = type.name,
                                 .node = empty,
                                 .path = "plugins.check",
                                 .at = {0, 1, 1},
                                 .at_text = {},
                                 .type_at = {},
                                 .on_error_at = {},
                                 .files = files},
                                types_, targets, said);
    for (const config::Diagnostic& one : said.all())
      if (one.severity == config::Severity::error) type.asked.push_back(one.message);
    begins_(fmt::format("while an instance of type '{}' was destroyed", type.name));
    made.reset();
  }

  const std::function<void(std::string_view)>& begins_;
  proxy::Names names_;
  Host host_;
  TypeSet types_;
  Inspection out_;
};

}  // namespace

Inspection inspect(const std::string& path, const std::function<void(std::string_view)>& begins) {
  return Inspector(path, begins).run();
}

}  // namespace penstock::plugin
