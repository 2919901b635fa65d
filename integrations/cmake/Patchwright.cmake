# Hot-patchable targets: every function can be redirected while the program runs.
#
#   include(Patchwright)                     with the folder of this file in CMAKE_MODULE_PATH
#   patchwright_hotpatch(app)                one target
#   patchwright_hotpatch(app AUDIT error)    and fail the build where a function missed out
#
# Without anything installed the flags of the compiler are used: GCC, Clang, clang-cl and Microsoft's. Where `patchwright` is
# found, it stands before the compiler instead, which also merges GCC's two nops at each entry into one, keeps pads through
# link-time optimisation, and names the functions and objects that missed out.
#
# Cache entries:
#   PATCHWRIGHT_HOTPATCH   ON; OFF makes patchwright_hotpatch() do nothing
#   PATCHWRIGHT_PAD        bytes before each entry; empty for the machine's usual size
#   PATCHWRIGHT_AUDIT      what the check after a link does: off, warn or error
#   PATCHWRIGHT_EXECUTABLE the program; NOTFOUND for flags alone
#
# A static library is compiled hot-patchable; what it is linked into needs the function too.

include_guard(GLOBAL)

option(PATCHWRIGHT_HOTPATCH "Make targets of patchwright_hotpatch() hot-patchable" ON)
set(PATCHWRIGHT_PAD "" CACHE STRING "Bytes of pad before each function; empty for the usual size of the machine")
set(PATCHWRIGHT_AUDIT "warn" CACHE STRING "After a link: off, warn or error")
set_property(CACHE PATCHWRIGHT_AUDIT PROPERTY STRINGS off warn error)
find_program(PATCHWRIGHT_EXECUTABLE patchwright DOC "patchwright, which audits images and stands before the compiler")

# The machine that a language's compiler makes code for, as CMake knows it: x86, x64, ARM, ARM64.
function(_patchwright_machine out)
  set(found "${CMAKE_C_COMPILER_ARCHITECTURE_ID}")
  if(NOT found)
    set(found "${CMAKE_CXX_COMPILER_ARCHITECTURE_ID}")
  endif()
  if(NOT found)
    # Only compilers for Windows tell; of others the target or the processor does.
    set(triple "${CMAKE_C_COMPILER_TARGET}${CMAKE_CXX_COMPILER_TARGET}${CMAKE_SYSTEM_PROCESSOR}")
    if(triple MATCHES "^(aarch64|arm64|ARM64)")
      set(found ARM64)
    elseif(triple MATCHES "^(arm|thumb)")
      set(found ARM)
    elseif(CMAKE_SIZEOF_VOID_P EQUAL 4)
      set(found X86)
    else()
      set(found x64)
    endif()
  endif()
  string(TOUPPER "${found}" found)
  if(found STREQUAL "X86_64" OR found STREQUAL "AMD64")
    set(found X64)
  elseif(found MATCHES "^ARM64" OR found STREQUAL "AARCH64")
    set(found ARM64)
  elseif(found MATCHES "^ARM")
    set(found ARM)
  elseif(found MATCHES "^I[3-6]86$")
    set(found X86)
  endif()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# Bytes of pad for a machine.
function(_patchwright_pad machine out)
  if(PATCHWRIGHT_PAD)
    set(pad "${PATCHWRIGHT_PAD}")
  elseif(machine STREQUAL "X86")
    set(pad 5)
  elseif(machine STREQUAL "X64")
    set(pad 6)
  elseif(machine STREQUAL "ARM")
    set(pad 12)
  else()
    set(pad 16)
  endif()
  set(${out} "${pad}" PARENT_SCOPE)
endfunction()

function(patchwright_hotpatch target)
  cmake_parse_arguments(arg "" "AUDIT" "" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "patchwright_hotpatch: unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT TARGET ${target})
    message(FATAL_ERROR "patchwright_hotpatch: ${target} is no target")
  endif()
  if(NOT PATCHWRIGHT_HOTPATCH)
    return()
  endif()
  set(audit "${PATCHWRIGHT_AUDIT}")
  if(arg_AUDIT)
    set(audit "${arg_AUDIT}")
  endif()
  if(NOT audit MATCHES "^(off|warn|error)$")
    message(FATAL_ERROR "patchwright_hotpatch: AUDIT is ${audit}; it must be off, warn or error")
  endif()
  _patchwright_machine(machine)
  _patchwright_pad("${machine}" pad)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    message(FATAL_ERROR "patchwright_hotpatch: ${target} is an interface library, which has no code of its own")
  endif()
  set(links FALSE)
  if(type STREQUAL "EXECUTABLE" OR type STREQUAL "SHARED_LIBRARY" OR type STREQUAL "MODULE_LIBRARY")
    set(links TRUE)
  endif()

  # clang-cl is Clang with the options of Microsoft's compiler.
  if(MSVC OR CMAKE_C_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC" OR CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC")
    _patchwright_msvc(${target} ${machine} ${pad} ${links})
  else()
    _patchwright_gnu(${target} ${machine} ${pad} ${links})
  endif()
  if(links AND PATCHWRIGHT_EXECUTABLE AND NOT audit STREQUAL "off")
    set(check "${PATCHWRIGHT_EXECUTABLE}" check --min-pad ${pad} "$<TARGET_FILE:${target}>")
    if(audit STREQUAL "error")
      add_custom_command(TARGET ${target} POST_BUILD COMMAND ${check} VERBATIM)
    else()
      # The check says what it finds; its exit code is left to whoever asks for it.
      add_custom_command(TARGET ${target} POST_BUILD
        COMMAND "${CMAKE_COMMAND}" "-DCHECK=${check}" -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/PatchwrightWarn.cmake" VERBATIM)
    endif()
  endif()
endfunction()

# cl and clang-cl: /hotpatch where it acts, function sections, and for Clang the record that its linker looks for.
function(_patchwright_msvc target machine pad links)
  set(code "$<COMPILE_LANGUAGE:C,CXX>")
  set(clang "$<OR:$<C_COMPILER_ID:Clang>,$<CXX_COMPILER_ID:Clang>>")
  set(msvc "$<OR:$<C_COMPILER_ID:MSVC>,$<CXX_COMPILER_ID:MSVC>>")
  target_compile_options(${target} PRIVATE "$<${code}:/Gy>")
  if(machine STREQUAL "X86")
    target_compile_options(${target} PRIVATE "$<$<AND:${code},${msvc}>:/hotpatch>")
  endif()
  if(machine MATCHES "^X")
    target_compile_options(${target} PRIVATE "$<$<AND:${code},${clang}>:SHELL:-Xclang -fms-hotpatch>")
  endif()
  target_compile_options(${target} PRIVATE
    "$<$<AND:${code},${clang}>:SHELL:-Xclang -gcodeview -Xclang -debug-info-kind=line-tables-only>")
  if(links)
    target_link_options(${target} PRIVATE "/FUNCTIONPADMIN:${pad}")
  endif()
endfunction()

# GCC and Clang: nops before and at each entry, and relocations that hot patches are made from.
function(_patchwright_gnu target machine pad links)
  if(PATCHWRIGHT_EXECUTABLE)
    set(driver "${PATCHWRIGHT_EXECUTABLE}" cc --audit off --pad ${pad} --)
    foreach(language C CXX)
      set_property(TARGET ${target} PROPERTY ${language}_COMPILER_LAUNCHER ${driver})
      set_property(TARGET ${target} PROPERTY ${language}_LINKER_LAUNCHER ${driver})
    endforeach()
    return()
  endif()
  if(machine MATCHES "^X")
    # The site must not be the last byte of eight, with or without ENDBR before it.
    math(EXPR rest "${pad} % 4")
    if(rest EQUAL 3)
      math(EXPR pad "${pad} + 1")
    endif()
    math(EXPR total "${pad} + 2")
  else()
    math(EXPR pad "(${pad} + 3) / 4")
    math(EXPR total "${pad} + 1")
  endif()
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:C,CXX>:-ffunction-sections>"
    "$<$<COMPILE_LANGUAGE:C,CXX>:-falign-functions=16>"
    "$<$<COMPILE_LANGUAGE:C,CXX>:-fpatchable-function-entry=${total},${pad}>")
  if(links AND NOT WIN32 AND NOT APPLE)
    target_link_options(${target} PRIVATE "LINKER:--emit-relocs")
  endif()
endfunction()
