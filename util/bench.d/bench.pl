#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# bench.pl [--quick] [--profile=CASE]
#
# Prints what a request costs an nginx that proxies, in the ways of
# Bench::Cases: first in instructions, which are the same whenever they are
# counted, then in requests a second, beside each other in one run, then in
# memory.  Ends with status 1 where instructions are not within the bounds.
#
# --quick         instructions only, of the cases that have bounds
# --profile=CASE  instead, what CASE spends over "plain", by function
#
# Instructions are counted by callgrind in one process of nginx, in user
# space, with upstreams in another process and keepalive on both sides.  The
# difference between a long and a short run is taken, so that what comes with
# start and end of the process does not count, nor does what is done each second.

use strict;
use warnings;

use File::Temp ();
use Getopt::Long ();
use List::Util ();

use Bench::Cases;
use Bench::Client;
use Bench::Nginx;
use Test::Gray::Process;


# the bounds, in instructions: over "plain", and of that, for statistics

my $most = 1120;
my $counting = 220;

# of a second each with wrk, of every case

my $rounds = 15;

my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $module = $ENV{TEST_NGINX_MODULE};

my ($quick, $profile);

Getopt::Long::GetOptions('quick' => \$quick, 'profile=s' => \$profile)
    && !@ARGV
    or die "usage: bench [--quick] [--profile=CASE]\n";

$| = 1;
$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { exit(130) } for qw(INT TERM HUP);

my $dir = File::Temp::tempdir('gray-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

my %ports = map { $_ => port() } qw(v1 v2);

my $backend = Bench::Nginx->new($dir, { %ports, '' => $ports{v1} },
                                backend_text())->start;

exit(defined $profile ? profile($profile) : bench());


# -- parts

sub bench {
    my @cases = grep { $_->{quick} || !$quick } cases();

    $_->{skip} = missing($_) for @cases;

    my %cost = instructions(@cases);

    unless ($quick) {
        speed(grep { !$_->{skip} } @cases);
        memory();
    }

    return bounds(%cost);
}


sub instructions {
    my (@cases) = @_;

    my $n = $quick ? 1 : 2;
    my %cost;

    print "\nInstructions a request\n\n";
    row('', 'instructions', 'over plain');

    for my $case (@cases) {

        if ($case->{skip}) {
            printf "  %-32s  not measured: %s\n", @{$case}{qw(label skip)};
            next;
        }

        # nginx's timers are due sooner or later: of three runs, the one that
        # is in between

        my @costs = map {
            cost(count($case, $n), count($case, 3 * $n), 2 * $n)
        } 1 .. ($case->{quick} ? 3 : 1);

        my $cost = (sort { $a <=> $b } @costs)[$#costs / 2];

        $cost{ $case->{name} } = $cost;

        row($case->{label}, grouped($cost), grouped($cost - $cost{plain}));
    }

    return %cost;
}


sub bounds {
    my (%cost) = @_;

    my $over = $cost{gray} - $cost{plain};
    my $less = $cost{split} - $cost{gray};
    my $counted = $cost{gray} - $cost{'gray-off'};
    my $guarded = $cost{'gray-rollout'} - $cost{gray};

    printf "\n  gray_release takes %s over plain, at most %s are allowed: %s\n",
           grouped($over), grouped($most), $over <= $most ? 'ok' : 'NOT OK';

    printf "  %s of these are for statistics, at most %s are allowed: %s\n",
           grouped($counted), grouped($counting),
           $counted <= $counting ? 'ok' : 'NOT OK';

    # bench-guards has bounds of what is in this

    printf "  in a rollout, it takes %s more\n", grouped($guarded);

    printf "  and it takes %s less than split_clients: %s\n",
           grouped($less), $less > 0 ? 'ok' : 'NOT OK';

    return $over <= $most && $counted <= $counting && $less > 0 ? 0 : 1;
}


sub profile {
    my ($name) = @_;

    my ($case) = grep { $_->{name} eq $name } cases();
    die "no case \"$name\"; there are: @{[ map { $_->{name} } cases() ]}\n"
        unless $case;

    my ($plain) = grep { $_->{name} eq 'plain' } cases();
    my ($n, %over);

    $n = 2;

    for ([ $plain, -1 ], [ $case, 1 ]) {
        my ($case, $sign) = @$_;

        my %short = by_function(count($case, $n));
        my %long = by_function(count($case, 3 * $n));

        $over{$_} += $sign * ($long{$_} - ($short{$_} || 0)) for keys %long;
    }

    $_ = $_ / (2 * $n * circle()) for values %over;

    my $rest = 0;

    for (sort { abs $over{$b} <=> abs $over{$a} || $a cmp $b } keys %over) {
        if (abs $over{$_} < 1) {
            $rest += $over{$_};
            next;
        }

        printf "%8.1f  %s\n", $over{$_}, $_;
    }

    printf "%8.1f  others\n", $rest;

    return 0;
}


# -- instructions

# the file of a run with so many thousand requests

sub count {
    my ($case, $thousands) = @_;

    my $nginx = nginx($case);
    my $file = "$nginx->{dir}/callgrind";

    my $before = connections();

    $nginx->start('valgrind', '--tool=callgrind',
                  "--callgrind-out-file=$file");

    my $client = Bench::Client->new($nginx->connect);

    # all cases have the same connections to the upstreams

    $client->ask(request('/v2'));
    $client->ask(request($case->{begin})) if $case->{begin};

    my %count = $client->run($thousands * circle());

    $nginx->stop;

    check($case, $thousands * circle(), %count);

    my $made = connections() - $before;
    die "$case->{name}: no keepalive, $made connections to the upstreams\n"
        if $made > 20;

    return $file;
}


sub check {
    my ($case, $n, %count) = @_;

    my $share = ($count{"v2\n"} || 0) / $n;
    my ($least, $most) = $case->{split} ? (0.15, 0.25) : (0, 0);

    die "$case->{name}: app_v2 has $share of the users\n"
        if $share < $least || $share > $most;
}


# accepted by the upstreams

sub connections {
    my $client = Bench::Client->new($backend->connect);

    $client->ask(request('/connections')) =~ /^ (\d+) \d+ \d+/m
        or die "no status of the upstreams\n";

    return $1;
}


sub cost {
    my ($short, $long, $thousands) = @_;

    return int((total($long) - total($short)) / ($thousands * circle())
               + 0.5);
}


# without what is done by the clock, however many requests come

sub total {
    my ($file) = @_;

    slurp($file) =~ /^(?:summary|totals): (\d+)/m
        or die "no total in $file\n";

    my $total = $1;
    my ($status, $out, $err) = capture('callgrind_annotate', '--auto=no',
                                       '--inclusive=yes', '--threshold=100',
                                       $file);
    die "callgrind_annotate: $err\n" if $status;

    $out =~ /^ *([\d,]+) .*:ngx_http_gray_tick_handler\b/m or return $total;

    return $total - ($1 =~ tr/,//dr);
}


sub by_function {
    my ($file) = @_;

    my ($status, $out, $err) = capture('callgrind_annotate', '--auto=no',
                                       '--threshold=100', $file);
    die "callgrind_annotate: $err\n" if $status;

    my %cost;

    while ($out =~ /^ *([\d,]+) (?:\([ .\d]+%\) )? *(\S*:.*)$/mg) {
        my ($cost, $name) = ($1, $2);

        # FILE:FUNCTION [OBJECT]; functions that are static in a stripped
        # program have a number for a name

        $name =~ s/^[^:]*://;
        $name =~ s/'\d+\b//;
        $name =~ s/^0x[0-9a-f]+/no name/ || $name =~ s/ \[.*\]$//;

        $cost =~ tr/,//d;
        $cost{$name} += $cost;
    }

    return %cost;
}


# -- requests a second

sub speed {
    my (@cases) = @_;

    my $script = "$dir/wrk.lua";
    my $users = join ",\n", map { "    \"$_\"" } users();
    my $request = request('/', 'USER');

    $request =~ s/\r\n/\\r\\n/g;

    open my $fh, '>', $script or die "$script: $!\n";
    print {$fh} <<"END";
local users = {
$users
}

local request_text = "$request"
local i = 0

function request()
    i = i % #users + 1
    return (string.gsub(request_text, "USER", users[i]))
end
END
    close $fh or die "$script: $!\n";

    my %nginx = map { $_->{name} => nginx($_)->start } @cases;

    for (grep { $_->{begin} } @cases) {
        Bench::Client->new($nginx{ $_->{name} }->connect)
                     ->ask(request($_->{begin}));
    }

    my (%rate, %cpu);

    for (1 .. $rounds) {
        for my $case (@cases) {
            my $name = $case->{name};
            my $before = $nginx{$name}->cpu;

            my ($requests, $rate) = wrk($script, $nginx{$name}->port_of);

            push @{ $rate{$name} }, $rate;
            push @{ $cpu{$name} },
                 ($nginx{$name}->cpu - $before) / $requests;
        }

        # nobody is always the one after the same other

        push @cases, shift @cases;
    }

    $_->stop for values %nginx;

    # what else the machine does only makes a round worse

    my %most = map { $_ => List::Util::max(@{ $rate{$_} }) } keys %rate;
    my %least = map { $_ => List::Util::min(@{ $cpu{$_} }) } keys %cpu;

    print "\nRequests a second and CPU time a request, in parts of plain,",
          " best of $rounds rounds\n\n";
    row('', 'requests', 'CPU time');

    for my $case (grep { $rate{ $_->{name} } } cases()) {
        row($case->{label}, map { sprintf '%.2f', $_->{ $case->{name} }
                                                  / $_->{plain} }
                                \%most, \%least);
    }
}


sub wrk {
    my ($script, $port) = @_;

    my ($status, $out, $err) = capture('wrk', '-t1', '-c16', '-d1s',
                                       '-s', $script,
                                       "http://127.0.0.1:$port/");

    die "wrk: $out$err\n"
        if $status || $out =~ /Non-2xx|Socket errors/
           || $out !~ m{^\s*(\d+) requests in .*^Requests/sec:\s+([\d.]+)}ms;

    return ($1, $2);
}


# -- memory

sub memory {
    print "\nMemory of a worker, in KB\n\n";
    row('releases', 'resident', 'of it shared', 'its own');

    for my $n (1, 100) {
        my @names = map { "r$_" } 1 .. $n;

        my $nginx = nginx({
            gray   => 1,
            pass   => 'http://$arg_release',
            http   => "    gray_zone gray 64m;\n\n"
                      . join("\n", map { release_text($_) } @names),
            master => 1
        })->start;

        my $client = Bench::Client->new($nginx->connect);

        # every release is compiled, and used

        $client->run(1, "/?release=$_") for @names;
        $client->run(circle(), '/?release=r1');

        row($n, map { grouped($nginx->memory($_)) }
                    qw(VmRSS RssShmem RssAnon));

        $nginx->stop;
    }
}


# -- helpers

sub nginx {
    my ($case) = @_;

    return Bench::Nginx->new($dir, \%ports, case_text($case),
                             modules => [ modules($case) ],
                             file    => $case->{file},
                             master  => $case->{master});
}


sub modules {
    my ($case) = @_;

    return ($case->{gray} && defined $module && length $module ? $module : (),
            map { modules_path() . "/$_.so" } @{ $case->{modules} || [] });
}


sub modules_path {
    my ($status, $out, $err) = capture($binary, '-V');

    return "$out$err" =~ /--modules-path=(\S+)/ ? $1 : '/nonexistent';
}


# why a case that needs modules of others cannot be measured, or nothing

sub missing {
    my ($case) = @_;

    return unless $case->{modules};

    for (modules($case)) {
        return 'there is no ' . s,.*/,,r unless -e;
    }

    my $why = nginx($case)->refused;

    return unless defined $why;

    return $why =~ s/ in \S+:\d+$//r;
}


sub grouped {
    my $text = sprintf '%.0f', $_[0];

    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;

    return $text;
}


sub row {
    my ($label, @values) = @_;

    print '  ', sprintf('%-32s', $label),
          (map { sprintf '%14s', $_ } @values), "\n";
}
