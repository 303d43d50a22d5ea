#include "server/options.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace penstock::server {
namespace {

constexpr std::array commands{std::pair{std::string_view("run"), Command::run},
                              std::pair{std::string_view("check"), Command::check},
                              std::pair{std::string_view("explain"), Command::explain},
                              std::pair{std::string_view("plugin"), Command::plugin},
                              std::pair{std::string_view("versions"), Command::versions},
                              std::pair{std::string_view("version"), Command::version}};

// Walks the arguments; `value` is what stands behind an option, as "-X GET", "--format=json" or "-XGET".
class Arguments {
 public:
  explicit Arguments(const std::vector<std::string>& all) : all_(all) {}
  bool next() {
    if (position_ == all_.size()) return false;
    word_ = all_[position_++];
    attached_.reset();
    if (size_t equal = word_.find('='); word_.starts_with("--") && equal != std::string::npos) {
      attached_ = word_.substr(equal + 1);
      word_.resize(equal);
    } else if (word_.size() > 2 && word_[0] == '-' && word_[1] != '-') {
      attached_ = word_.substr(2);
      word_.resize(2);
    }
    return true;
  }
  const std::string& word() const { return word_; }
  std::optional<std::string> value() {
    if (attached_) return std::exchange(attached_, std::nullopt);
    if (position_ == all_.size()) return std::nullopt;
    return all_[position_++];
  }
  bool attached() const { return attached_.has_value(); }

 private:
  const std::vector<std::string>& all_;
  size_t position_ = 0;
  std::string word_;
  std::optional<std::string> attached_;
};

// "name: value"; false: it is not of that form.
bool add_header(admin::Question& question, const std::string& text) {
  size_t colon = text.find(':');
  if (colon == 0 || colon == std::string::npos) return false;
  size_t begin = text.find_first_not_of(" \t", colon + 1);
  question.headers.emplace_back(text.substr(0, colon),
                                begin == std::string::npos ? std::string() : text.substr(begin));
  return true;
}

// Empty, or what is wrong.
std::string take_value(Options& options, const std::string& name, std::string value) {
  bool explain = options.command == Command::explain;
  if (name == "-c" || name == "--config") {
    options.configuration = std::move(value);
  } else if (name == "--format" && options.command == Command::check) {
    auto format = config::format_named(value);
    if (!format) return "--format is human, json or github, not '" + value + "'";
    options.format = *format;
  } else if (explain && name == "-X") {
    options.question.method = std::move(value);
  } else if (explain && name == "-H") {
    if (!add_header(options.question, value)) return "-H takes 'name: value', not '" + value + "'";
  } else if (explain && name == "--client-ip") {
    options.question.client_ip = std::move(value);
  } else if (explain && name == "--as") {
    options.question.consumer = std::move(value);
  } else {
    return "unknown option '" + name + "'";
  }
  return {};
}

bool take_flag(Options& options, const std::string& name) {
  if (name == "--strict" && options.command == Command::check)
    options.strictness = config::Strictness::warnings_too;
  else if (name == "--json" && (options.command == Command::explain || options.command == Command::versions))
    options.output = Output::json;
  else if (name == "-h" || name == "--help")
    options.command = Command::help;
  else
    return false;
  return true;
}

std::string missing(const Options& options) {
  if (options.command == Command::help || options.command == Command::version) return {};
  if (options.configuration.empty()) return "-c FILE is missing: which configuration?";
  if (options.command == Command::explain && options.question.url.empty())
    return "explain needs a URL, such as http://localhost/path";
  return {};
}

}  // namespace

std::expected<Options, std::string> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  if (arguments.empty()) return std::unexpected("which command?");
  const std::string& word = arguments.front();
  if (word == "-h" || word == "--help" || word == "help") return options;
  if (word == "--version" || word == "-V") {
    options.command = Command::version;
    return options;
  }
  auto known =
      std::ranges::find(commands, std::string_view(word), &std::pair<std::string_view, Command>::first);
  if (known == commands.end()) return std::unexpected("unknown command '" + word + "'");
  options.command = known->second;
  if (options.command == Command::plugin) return parse_plugin_options(std::span(arguments).subspan(1));
  std::vector<std::string> others(arguments.begin() + 1, arguments.end());
  Arguments rest(others);
  while (rest.next()) {
    std::string name = rest.word();
    if (!name.starts_with('-')) {
      if (options.command != Command::explain || !options.question.url.empty())
        return std::unexpected("'" + name + "' is one word too many");
      options.question.url = name;
      continue;
    }
    if (!rest.attached() && take_flag(options, name)) {
      if (options.command == Command::help) return options;
      continue;
    }
    static constexpr std::array<std::string_view, 7> with_value{"-c", "--config",    "--format", "-X",
                                                                "-H", "--client-ip", "--as"};
    if (std::ranges::find(with_value, name) == with_value.end())
      return std::unexpected("unknown option '" + name + "'");
    auto value = rest.value();
    if (!value) return std::unexpected("'" + name + "' needs a value");
    if (std::string wrong = take_value(options, name, std::move(*value)); !wrong.empty())
      return std::unexpected(wrong);
  }
  if (std::string wrong = missing(options); !wrong.empty()) return std::unexpected(wrong);
  return options;
}

std::string_view usage() {
  return "usage: penstock COMMAND -c FILE [options]\n"
         "\n"
         "  run -c FILE         serve; FILE is a configuration or a folder of *.yaml\n"
         "  check -c FILE       report everything that is wrong with it\n"
         "      --format human|json|github   how to print the findings\n"
         "      --strict                     warnings count as errors\n"
         "  explain -c FILE URL what would happen to a request, without sending it\n"
         "      -X METHOD                    GET unless given\n"
         "      -H 'name: value'             a request header; may be repeated\n"
         "      --client-ip ADDRESS          whose request it is (127.0.0.1)\n"
         "      --as CONSUMER                taken as logged in\n"
         "      --json                       for programs\n"
         "  plugin info FILE    the types of a plugin, what they need and which keys they take\n"
         "  plugin check FILE   whether the daemon takes it, and if not why\n"
         "      --json                       for programs\n"
         "      --timeout DURATION           what each step of its code may take (10s)\n"
         "  plugin new NAME     a folder NAME with a plugin that builds as it is\n"
         "      --c                          in C instead of C++\n"
         "  versions -c FILE    who uses which API version of the gateway that runs with it, and since when\n"
         "      --json                       for programs\n"
         "  version             the version, and the libraries it was built with\n"
         "\n"
         "signals: TERM, INT, QUIT drain and exit; HUP reloads; USR1 reopens log files\n"
         "exit codes: 0 good, 1 configuration refused, 2 usage, 3 cannot bind, 4 plugin refused\n";
}

}  // namespace penstock::server
