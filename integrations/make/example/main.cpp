#include <cstdio>
#include <stdexcept>
#include <string>

extern "C" int count_words(const char *text);

static int checked(const std::string &text) {
  if (text.empty()) throw std::invalid_argument("no text");
  return count_words(text.c_str());
}

int main() {
  try {
    checked("");
  } catch (const std::exception &error) {
    std::puts(error.what());
  }
  std::printf("%d words\n", checked("a greeting to you"));
}
