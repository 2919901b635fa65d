ask() { name=$1; shift; if "$@" >conftest.out 2>conftest.err; then echo "$name yes"; else echo "$name no"; fi; }
quiet() { name=$1; shift; "$@" >conftest.out 2>conftest.err && test ! -s conftest.err && echo "$name yes" || echo "$name no"; }
rm -f a.out conftest*
echo 'int main(void) { return 0; }' >conftest.c
for option in --version -v -V -qversion; do ask "option $option" $CC $option; done
$CC conftest.c >/dev/null 2>&1; ls a.out a.exe conftest.exe 2>/dev/null; rm -f a.out
$CC -o conftest conftest.c && ./conftest && echo runs
$CC -c conftest.c && ls conftest.o conftest.obj 2>/dev/null
ask "gnu" $CC -c -DX -Werror -x c - <<'EOF'
#ifndef __GNUC__
choke me
#endif
EOF
for flag in -g -O2 -Wall -fPIC -fno-exceptions -no-such-flag; do quiet "flag $flag" $CC $flag -c conftest.c; done
for flag in -Wl,--as-needed -Wl,-soname,x -shared -static -Wl,--no-such-flag; do quiet "link $flag" $CC $flag -o conftest conftest.c; done
for header in stdio.h no/such.h; do echo "#include <$header>" >conftest.c; quiet "header $header" $CC -E conftest.c; done
for function in printf strlcpy no_such_function; do
  printf 'char %s();\nint main(void) { return %s(); }\n' $function $function >conftest.c
  ask "function $function" $CC -w -o conftest conftest.c
done
echo 'double cos(double); int main(int c, char **v) { return cos(c) > 2; }' >conftest.c
ask "library m" $CC -o conftest conftest.c -lm
for size in 4 8; do
  echo "int test[1 - 2 * !(sizeof(long) == $size)]; int main(void) { return 0; }" >conftest.c
  ask "long $size" $CC -c conftest.c
done
$CC -MMD -MF conftest.d -c conftest.c && cat conftest.d
echo 'int f(void) { return 1; }' >conftest.c
$CC -c -fPIC conftest.c -o conftest-f.o && $CC -shared conftest-f.o -o libconftest.so && echo 'shared yes'
rm -f conftest* a.out libconftest.so
