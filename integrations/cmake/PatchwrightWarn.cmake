# Runs the command in CHECK; shows what it says only if it finds something, and never fails the build.
execute_process(COMMAND ${CHECK} RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(NOT code EQUAL 0)
  message(WARNING "${text}")
endif()
