#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# rules.pl PROGRAM [--quick]
#
# Runs rules.c under callgrind and prints what a decision costs, in
# instructions, and how many reads and writes of it miss the last cache.  Ends
# with status 1 where a bound is passed.

use strict;
use warnings;

use File::Temp ();
use MaxMind::DB::Writer::Tree ();

my ($program, $quick) = @ARGV;
my $dir = File::Temp::tempdir('gray-rules-XXXXXX', TMPDIR => 1, CLEANUP => 1);

$| = 1;
$SIG{$_} = sub { exit(130) } for qw(INT TERM HUP);

my @quick = $quick ? 'quick' : ();

database("$dir/geo.mmdb");

my ($bytes) = run($program, 'prepare', $dir, @quick)
              =~ /^in_list: 1000000 entries, (\d+) bytes$/m;

run('valgrind', '-q', '--tool=callgrind', '--cache-sim=yes',
    '--I1=32768,8,64', '--D1=32768,8,64', '--LL=2097152,16,64',
    '--collect-atstart=no', '--toggle-collect=ngx_http_gray_rules_decide',
    '--toggle-collect=bare_lookup', "--callgrind-out-file=$dir/out",
    $program, 'run', $dir, @quick);

my (%cost, %misses, @names);

read_dump($_) for glob "$dir/out.*";

table('instructions a decision', \%cost, 0);
table('misses of the last cache in a decision', \%misses, 1);

exit(bounds());


sub database {
    my ($file) = @_;

    my $tree = MaxMind::DB::Writer::Tree->new(
        ip_version => 6, record_size => 24, database_type => 'Gray-Bench',
        languages => ['en'], description => { en => 'a bench' },
        remove_reserved_networks => 0,
        map_key_type_callback => sub {
            return { continent => 'map', country => 'map', names => 'map',
                     geoname_id => 'uint32' }->{ $_[0] } || 'utf8_string';
        });

    # as of countries: thousands of networks, few records

    srand(1);

    for my $i (0 .. 20000) {
        my $code = chr(65 + $i % 26) . chr(65 + $i % 7);

        $tree->insert_network(
            sprintf('%d.%d.%d.0/%d', 1 + rand 223, rand 256, rand 256, 24),
            { continent => { code => 'EU', geoname_id => 6255148,
                             names => { en => 'Europe', de => 'Europa' } },
              country => { geoname_id => $i % 182, iso_code => $code,
                           names => { en => "In $code" } } });
    }

    for my $i (1 .. 223) {
        my $code = chr(65 + $i % 26) . chr(65 + $i % 5);

        $tree->insert_network("$i.128.0.0/9",
                              { country => { geoname_id => $i,
                                             iso_code => $code } });
    }

    open my $fh, '>:raw', $file or die "$file: $!\n";
    $tree->write_tree($fh);
    close $fh or die "$file: $!\n";

    return;
}


sub run {
    my (@command) = @_;

    open my $pipe, '-|', @command or die "$command[0]: $!\n";
    my @said = <$pipe>;
    close $pipe or die "@command failed\n";

    return join '', @said;
}


sub read_dump {
    my ($file) = @_;
    my ($name, $size, $n, @events, @totals);

    open my $fh, '<', $file or die "$file: $!\n";

    while (<$fh>) {
        ($name, $size, $n) = ($1, $2, $3)
            if /^desc: Trigger: Client Request: (.*) (\d+) (\d+)$/;
        @events = split ' ', $1 if /^events: (.*)/;
        @totals = split ' ', $1 if /^(?:totals|summary): (.*)/;
    }

    close $fh;

    return unless defined $name && @totals;

    my %seen;
    @seen{@events} = (@totals, (0) x @events);

    push @names, $name unless grep { $_ eq $name } @names;

    $cost{$name}{$size} = $seen{Ir} / $n;
    $misses{$name}{$size} = ($seen{DLmr} + $seen{DLmw}) / $n;

    return;
}


sub table {
    my ($title, $of, $digits) = @_;
    my %sizes = map { map { $_ => 1 } keys %{ $of->{$_} } } @names;
    my @sizes = sort { $a <=> $b } grep { $_ != 2 } keys %sizes;

    printf "%-40s" . '%9s' x @sizes . "\n", $title, @sizes;

    for my $name (order()) {
        printf "%-40s%s\n", $name, join '', map {
            my $v = $of->{$name}{$_};
            defined $v ? sprintf '%9.*f', $digits, $v : ' ' x 9;
        } @sizes;

        printf "%-40s%9.*f\n", 'two of them', $digits, $of->{$name}{2}
            if exists $of->{$name}{2};
    }

    print "\n";

    return;
}


sub order {
    my @known = ('nothing', 'conditions', 'in', 'in_list', 'prefix',
                 'cidr, IPv4', 'cidr, IPv6', 'cidr_list, IPv4',
                 'cidr_list, IPv6', 'cidr_list, IPv4, of a header',
                 'cidr_list, IPv6, of a header', 'rules of one equality',
                 'rules of one prefix', 'bare lookup', 'geo rules');

    return grep { exists $cost{$_} } @known;
}


sub bounds {
    my $c = \%cost;

    my $further = ($c->{conditions}{1000} - $c->{conditions}{1}) / 999;
    my $list = $c->{in_list}{1000000} / $c->{in}{1};
    my $in = $c->{in}{10000} / $c->{in}{1};
    my $rules = $c->{'rules of one equality'}{1000}
                / $c->{'rules of one equality'}{1};
    my $bare = $c->{'bare lookup'}{1};
    my $geo = $c->{'geo rules'};

    my @bounds = (
        [ 'each further condition', $further, 60 ],
        [ 'in with 10,000 entries, over in with 1', $in, 1.5 ],
        [ 'in_list with 1,000,000, over in with 1', $list, 1.5 ],
        [ 'cidr_list with 100,000, IPv4',
          $c->{'cidr_list, IPv4'}{100000}, 400 ],
        [ 'cidr_list with 100,000, IPv6',
          $c->{'cidr_list, IPv6'}{100000}, 400 ],
        [ '1,000 rules of one equality, over one', $rules, 2 ],
        [ 'a geo rule, over the bare lookup', $geo->{1} / $bare, 1.3 ],
        [ 'a second geo rule', $geo->{2} - $geo->{1}, 100 ],
        [ 'MB, of 1,000,000 ids of 16 characters', $bytes / 1e6, 40 ]);

    my $failed = 0;

    for (@bounds) {
        my ($what, $is, $most) = @$_;

        # functions of libc are chosen by the processor: not all count alike

        my $bad = $is > $most * ($quick ? 1.05 : 1);

        printf "%-40s%9.2f, at most %s%s\n", $what, $is, $most,
               $bad ? ': MISSED' : '';
        $failed ||= $bad;
    }

    return $failed;
}
