#include "server/console.h"

#include <unistd.h>

#include <string>

namespace penstock::server {

void say_text(std::string_view text) {
  while (!text.empty()) {
    ssize_t wrote = ::write(STDERR_FILENO, text.data(), text.size());
    if (wrote <= 0) return;  // nobody is there to hear it
    text.remove_prefix(static_cast<size_t>(wrote));
  }
}

void say(std::string_view line) {
  std::string text = "penstock: ";
  text += line;
  text += '\n';
  say_text(text);
}

}  // namespace penstock::server
